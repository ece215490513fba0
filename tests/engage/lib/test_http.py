import time
from datetime import UTC, datetime

import pycurl
import pytest

from engage.lib import http
from engage.lib.http import Door, NoAnswer, Request, Response, retry_after_seconds
from tests.providers import ledger
from tests.providers.http2 import UNHANDLED, Answer, Provider

LOST = NoAnswer("connection_broke", sent=True)


class Echo(Provider):
    """Keeps every path it is asked for, and says it back."""

    def answer(self, path, headers, body):
        fault = self.faults.take(path)
        if not (fault and fault.action in UNHANDLED):
            self.ledger.write(path=path)
        method, said = headers[":method"], body.decode()
        return Answer(200, f"{method} {path} {headers.get('x-name', '')} {said}", fault=fault)

    def kept(self) -> list[str]:
        return [line["path"] for line in ledger.read(self.ledger.path)]


@pytest.fixture
def echo(tmp_path, settings):
    echo = Echo(tmp_path / "echo.jsonl", folder=tmp_path)
    with echo.running():
        settings.CA_FILE = str(echo.ca_file)
        yield echo


@pytest.fixture
def door():
    door = Door()
    yield door
    door.close()


def fetch(door, echo, *paths, seconds=5):
    requests = [Request(url=f"{echo.url}{path}", body=b"x" * 400) for path in paths]
    answers = door.fetch(requests, timeout_seconds=seconds)
    return [a.status if isinstance(a, Response) else a for a in answers]


@pytest.mark.parametrize(
    "request_",
    [
        Request(url="http://shop.example/", body=b""),
        Request(url="file:///etc/passwd", body=b""),
        Request(url="https://shop.example/\r\nX: 1", body=b""),
        Request(url="https://shop.example/", body=b"", headers=["X: 1\r\nY: 2"]),
    ],
)
def test_what_must_not_leave_is_refused(request_):
    with pytest.raises(ValueError, match=r"must not contain control|only https"):
        Door().fetch([request_], timeout_seconds=1)


def test_where_one_must_not_leave_none_leaves(door, echo):
    """Nor later, with the next call."""
    wrong = Request(url=f"{echo.url}/wrong", body=b"", headers=["X: 1\nY: 2"])
    with pytest.raises(ValueError, match="must not contain control"):
        door.fetch([Request(url=f"{echo.url}/good", body=b""), wrong], timeout_seconds=1)
    assert fetch(door, echo, "/next") == [200]
    assert echo.kept() == ["/next"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("-5", None), ("", None), ("later", None), ("1e9", None),
        ("Mon, 02 Nov 2026 12:00:30 GMT", 30.0), ("Mon, 02 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 86_400.0), ("²", None),
    ],
)  # fmt: skip
def test_a_pause_is_read_as_seconds_or_date_and_bounded(said, seconds):
    now = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
    assert retry_after_seconds(Response(503, {"retry-after": said}, b""), now=now) == seconds


@pytest.mark.parametrize("fault", ["reset", "accept_then_reset"])
def test_a_broken_connection_costs_nothing_of_the_next_call(door, echo, fault):
    echo.faults.play(fault, match="/bad", times=1)
    assert fetch(door, echo, "/bad") == [LOST]
    assert fetch(door, echo, "/next") == [200]
    assert (echo.kept().count("/next"), echo.connections) == (1, 2)


def test_a_connection_that_hangs_is_not_used_again(door, echo):
    fetch(door, echo, "/first")
    echo.faults.play("slow", match="/slow", times=1, seconds=30)
    assert fetch(door, echo, "/slow", seconds=0.3) == [NoAnswer("timeout", sent=True)]
    assert fetch(door, echo, "/next") == [200]
    assert echo.connections == 2


def test_a_connection_that_idled_for_long_is_not_used_again(door, echo):
    """The server closed it, which libcurl sees only as it writes."""
    fetch(door, echo, "/first")
    fetch(door, echo, "/second")
    assert echo.connections == 1
    echo.close_all()
    door.used_at -= 61
    assert fetch(door, echo, "/a", "/b") == [200, 200]
    assert echo.connections == 2


@pytest.mark.parametrize("fault", ["hang_up", "refuse_stream"])
@pytest.mark.parametrize("kept", [True, False])
def test_what_a_server_disowned_was_not_sent(door, echo, fault, kept):
    """GOAWAY, REFUSED_STREAM: it was not handled. Nor does the door repeat it."""
    if kept:
        fetch(door, echo, "/first")
    echo.faults.play(fault, match="/bad", times=1)
    answers = fetch(door, echo, "/a", "/b", "/bad")
    assert answers == [200, 200, NoAnswer("disowned", sent=False)]
    assert sorted(echo.kept()) == ["/a", "/b", *["/first"] * kept]
    assert fetch(door, echo, "/next") == [200]


def test_only_what_came_after_the_last_of_a_goaway_was_disowned(door, echo):
    """What the server began and left without an answer is not known."""
    fetch(door, echo, "/first")
    echo.faults.play("slow", match="/begun", seconds=30)
    echo.faults.play("hang_up", match="/bad", times=1)
    answers = fetch(door, echo, "/begun", "/bad", "/later")
    disowned = NoAnswer("disowned", sent=False)
    assert answers == [LOST, disowned, disowned]
    assert echo.kept() == ["/first", "/begun"]


@pytest.mark.parametrize("late", [0.0, 0.3])
def test_one_stream_at_a_time_is_enough(door, echo, late):
    echo.streams_at_once, echo.settings_seconds = 1, late
    paths = [f"/{n}" for n in range(20)]
    assert fetch(door, echo, *paths) == [200] * 20
    assert sorted(echo.kept()) == sorted(paths)
    assert echo.most_at_once == 1


def test_an_answer_of_a_gigabyte_is_cut_off(door, echo):
    echo.faults.play("huge", match="/huge")
    assert fetch(door, echo, "/huge", "/a") == [NoAnswer("answer_too_large", sent=True), 200]


def test_nothing_of_a_request_stays_for_the_next_one(door, echo):
    """They share handles of libcurl."""
    ask = [
        Request(url=f"{echo.url}/a", body=b"one", headers=["X-Name: ann"]),
        Request(url=f"{echo.url}/a", body=b"", headers=["X-Name: ann"]),
        Request(url=f"{echo.url}/b", body=b"", headers=["X-Name: bob"], method="GET"),
        Request(url=f"{echo.url}/b", body=b"two"),
    ]
    said = [door.fetch([request], timeout_seconds=5)[0] for request in ask]
    assert [one.body for one in said] == [
        b'"POST /a ann one"', b'"POST /a ann "', b'"GET /b bob "', b'"POST /b  two"',
    ]  # fmt: skip
    assert [one.headers for one in said] == [{"content-type": "application/json"}] * 4


def test_what_waited_for_its_turn_until_the_end_was_never_sent(door, echo):
    """Also where the handles carried others before."""
    echo.streams_at_once = 1
    door.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    assert fetch(door, echo, "/a", "/b", "/c") == [200] * 3
    echo.faults.play("slow", match="/slow", seconds=30)
    answers = fetch(door, echo, "/slow-1", "/slow-2", "/slow-3", seconds=0.5)
    assert sorted(answer.sent for answer in answers) == [False, False, True]
    assert sorted(echo.kept())[:3] == ["/a", "/b", "/c"]
    assert len(echo.kept()) == 4


def test_what_came_while_the_process_stood_still_is_read_and_nothing_begins(
    door, echo, monkeypatch
):
    """Longer than libcurl gives the calls. Two of them wait for their turn."""
    echo.streams_at_once = 20
    door.multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, 1)
    fetch(door, echo, "/first")
    echo.faults.play("slow", seconds=0.1)
    monkeypatch.setattr(http, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(http, "_let_gather", lambda seconds: time.sleep(0.6))
    answers = fetch(door, echo, *(f"/{n}" for n in range(22)), seconds=0.5)
    assert answers.count(200) == 20
    assert answers.count(NoAnswer("timeout", sent=False)) == 2
    assert len(echo.kept()) == 21


def test_an_interrupted_call_leaves_nothing_to_the_next(door, echo, monkeypatch):
    def interrupt(seconds):
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(http, "_let_gather", interrupt)
        echo.faults.play("slow", match="/slow", seconds=0.5)
        with pytest.raises(TimeoutError):
            fetch(door, echo, "/slow", "/slower")
    assert fetch(door, echo, "/next") == [200]


def test_short_answers_are_read_without_asking_for_more(door, echo):
    """Two frames for each request, otherwise: libcurl opens windows that nobody needs."""
    echo.faults.play("slow", seconds=0.1)
    assert fetch(door, echo, *(f"/{n}" for n in range(20))) == [200] * 20
    assert echo.window_updates == 0
