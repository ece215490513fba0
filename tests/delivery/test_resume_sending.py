"""The command that lets sending go on after a halt."""

from io import StringIO

import pytest
from django.core.management import call_command

from delivery import installation
from delivery.models import Halt
from tests.factories import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_folder(tmp_path, settings):
    settings.DATA_DIR = tmp_path


def run(*args: str) -> str:
    out = StringIO()
    call_command("resume_sending", *args, stdout=out)
    return out.getvalue()


def test_without_a_halt_it_says_so():
    assert run() == "Sending does not stand still.\n"


def test_it_says_what_stands_still_and_asks(monkeypatch):
    installation.halt(installation.OLDER, now=NOON)
    monkeypatch.setattr("builtins.input", lambda prompt: "no")
    said = run()
    assert "restored from a backup" in said
    assert "Nothing was changed." in said
    assert Halt.objects.exists()
    monkeypatch.setattr("builtins.input", lambda prompt: "yes")
    assert run().endswith("Sending goes on.\n")
    assert not Halt.objects.exists()


def test_yes_asks_nothing():
    installation.halt("somebody pulled the cord", now=NOON)
    assert run("--yes").endswith("Sending goes on.\n")
