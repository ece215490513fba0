from datetime import UTC, datetime

import pytest

from engage.lib.http import Door, Request, Response, retry_after_seconds


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
