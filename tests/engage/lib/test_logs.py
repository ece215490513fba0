import json
import logging

import pytest

from engage.lib.logs import JsonFormatter


def written(record: logging.LogRecord) -> dict[str, object]:
    return json.loads(JsonFormatter().format(record))


def test_line_has_the_message_and_the_facts():
    record = logging.makeLogRecord(
        {"name": "engage", "levelname": "INFO", "created": 0, "msg": "run planned", "run_id": 7}
    )
    assert written(record) == {
        "time": "1970-01-01T00:00:00.000+00:00",
        "level": "info",
        "logger": "engage",
        "message": "run planned",
        "run_id": 7,
    }


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/profiles/ada@mail.example", "GET v1/profiles/"),
        ("/u/a-secret-token/", "GET "),
        ("/nowhere/ada@mail.example", "GET no such path"),
    ],
)
def test_refused_request_is_logged_without_whom_it_was_about(client, caplog, path, named):
    with caplog.at_level("WARNING", "django.request"):
        assert client.get(path).status_code >= 400
    lines = [written(r) for r in caplog.records if r.name == "django.request"]
    assert lines
    for line in lines:
        assert str(line["request"]).startswith(named)
        assert "ada@" not in json.dumps(line)
        assert "a-secret-token" not in json.dumps(line)
