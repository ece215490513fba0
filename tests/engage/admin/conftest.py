import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def admin_client(db) -> Client:
    person = User.objects.create_superuser("root", "root@shop.example", "correct horse battery")
    client = Client()
    client.force_login(person)
    return client
