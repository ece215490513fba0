from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from delivery.channels.web_push import WebPushChannel
from tests.providers.jwt import unpadded


def make(file) -> str:
    output = StringIO()
    call_command("make_vapid_key", str(file), stdout=output)
    return output.getvalue().strip()


def test_the_printed_key_is_the_one_that_the_channel_signs_with(tmp_path, settings):
    said = make(tmp_path / "vapid.pem")
    settings.VAPID_KEY_FILE = str(tmp_path / "vapid.pem")
    settings.VAPID_SUBJECT = "mailto:push@shop.example"
    point = unpadded(said)
    assert (len(point), point[0]) == (65, 4)
    assert WebPushChannel().public_key == said


def test_a_key_that_is_there_stays(tmp_path):
    first = make(tmp_path / "vapid.pem")
    content = (tmp_path / "vapid.pem").read_bytes()
    assert make(tmp_path / "vapid.pem") == first
    assert (tmp_path / "vapid.pem").read_bytes() == content


def test_the_key_is_for_its_owner_alone(tmp_path):
    make(tmp_path / "vapid.pem")
    assert (tmp_path / "vapid.pem").stat().st_mode & 0o777 == 0o600


def test_another_file_is_left_alone(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(CommandError, match="cannot be used"):
        make(tmp_path / "notes")
    assert (tmp_path / "notes").read_text() == "mine"
