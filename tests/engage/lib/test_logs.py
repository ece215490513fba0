import json
import logging

from engage.lib.logs import JsonFormatter


def line(message: str, *args: object, **extra: object) -> dict[str, object]:
    logger = logging.getLogger("engage.test")
    record = logger.makeRecord(logger.name, logging.INFO, "", 0, message, args, None, extra=extra)
    return json.loads(JsonFormatter().format(record))


def test_a_record_is_one_json_object_with_its_facts():
    written = line("run %s", "planned", run_id=4, segment="für dich")
    assert written | {"time": ""} == {
        "time": "", "level": "info", "logger": "engage.test", "message": "run planned",
        "run_id": 4, "segment": "für dich",
    }  # fmt: skip


def test_the_tokens_of_links_are_written_nowhere():
    for place in ("/t/c/", "/t/o/", "/u/"):
        written = line("Not Found: %s", f"{place}oF_-Ab9", request=f"<GET '{place}oF_-Ab9'>")
        assert written["message"] == f"Not Found: {place}..."
        assert written["request"] == f"<GET '{place}...'>"
