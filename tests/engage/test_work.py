"""What is under way is shown to whoever may see it, on pages and to their scripts."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from catalog import uploads
from engage.lib import under_way
from engage.roles import MARKETER
from recommendations.models import Build
from tests.factories import NOON

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("redis_keys")]


@pytest.fixture
def running():
    told = {"step": "choose", "share": 0.31, "told": NOON.isoformat()}
    return Build.objects.create(catalog="default", started_at=NOON, progress=told)


def asked(client):
    return client.get(reverse("under_way")).json()["works"]


def test_running_build_says_how_far_it_is(admin_client, running):
    (work,) = asked(admin_client)
    assert (work["key"], work["percent"]) == (f"build-{running.pk}", 31)
    assert work["words"].startswith("choose")
    for page in ("index", "recommendations_build_changelist"):
        text = admin_client.get(reverse(f"admin:{page}")).content.decode()
        assert f'data-work="build-{running.pk}"' in text
        assert 'style="width:31%"' in text
    change = reverse("admin:recommendations_build_change", args=[running.pk])
    assert f'data-shown="build-{running.pk}"' in admin_client.get(change).content.decode()


def test_page_of_a_finished_build_asks_for_nothing(admin_client, running):
    Build.objects.update(state="live")
    change = reverse("admin:recommendations_build_change", args=[running.pk])
    assert "data-under-way" not in admin_client.get(change).content.decode()
    assert asked(admin_client) == []


def test_nobody_hears_of_what_they_may_not_see(client, running):
    person = User.objects.create_user("guest", is_staff=True)
    client.force_login(person)
    with under_way.telling("Reading secret.csv", permission="catalog.view_upload"):
        assert asked(client) == []
        person.groups.add(Group.objects.get(name=MARKETER))
        client.force_login(User.objects.get(pk=person.pk))
        assert len(asked(client)) == 2


def test_nobody_hears_anything_without_logging_in(client, running):
    assert client.get(reverse("under_way")).status_code == 302


def test_upload_is_told_by_the_name_its_form_watches(admin_client, monkeypatch):
    seen = []
    stage = uploads.stage

    def staged(*args, progress, **options):
        progress(0.5)
        seen.extend(work["key"] for work in asked(admin_client))
        return stage(*args, progress=progress, **options)

    monkeypatch.setattr(uploads, "stage", staged)
    url = reverse("admin:catalog_upload_add")
    text = admin_client.get(url).content.decode()
    name = text.split('name="work" value="')[1].split('"')[0]
    file = SimpleUploadedFile("a.csv", b"id,name\n1,One\n")
    answer = admin_client.post(url, {"file": file, "catalog": "default", "work": name})
    assert answer.status_code == 302
    assert seen == [name]
    file.seek(0)
    admin_client.post(url, {"file": file, "catalog": "default", "work": "x" * 9_000})
    assert seen[1].startswith("upload-")
    assert asked(admin_client) == []
