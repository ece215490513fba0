import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def admin_client(db) -> Client:
    person = User.objects.create_superuser("root")  # without a password: hashing one is slow
    client = Client()
    client.force_login(person)
    return client
