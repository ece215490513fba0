"""What a running installation says of itself: the facts of one moment, or none."""

from itertools import cycle
from threading import Event, Thread

from engage.runner.status import read_status, status_file, write_status

SHORT = {"pid": 7, "children": {}}
LONG = {"pid": 7, "children": {f"program {number}": number for number in range(500)}}


def test_status_of_no_start_is_empty(tmp_path):
    assert read_status(tmp_path) == {}


def test_status_that_the_disk_lost_is_empty(tmp_path):
    status_file(tmp_path).parent.mkdir()
    status_file(tmp_path).write_text('{"pid": 7, "chi')
    assert read_status(tmp_path) == {}


def test_reader_beside_a_writer_always_sees_whole_facts(tmp_path):
    status_file(tmp_path).parent.mkdir()
    write_status(tmp_path, SHORT)
    enough = Event()

    def write() -> None:
        for facts in cycle([LONG, SHORT]):
            write_status(tmp_path, facts)
            if enough.is_set():
                return

    writer = Thread(target=write)
    writer.start()
    try:
        seen = [read_status(tmp_path) for _ in range(2_000)]
    finally:
        enough.set()
        writer.join()
    assert all(facts in (SHORT, LONG) for facts in seen)
