"""The one shape of errors, and bodies within bounds."""

import gzip
import json

import pytest
from django.db import OperationalError
from django.http import Http404
from django.test import RequestFactory

from engage.lib import api
from engage.lib.errors import EngageError, InvalidInput, NotFound, Unavailable


@api.for_machines
def door(request, error=None):
    if error is not None:
        raise error
    return api.respond({"success": True})


def ask(error=None, method="get"):
    answer = door(getattr(RequestFactory(), method)("/"), error=error)
    return answer, json.loads(answer.content or b"null")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInput("no"), 400, "invalid_input"),
        (NotFound("no"), 404, "not_found"),
        (Unavailable("no"), 503, "unavailable"),
        (Http404(), 404, "not_found"),
        (OperationalError("the password is x"), 503, "unavailable"),
        (RuntimeError("the password is x"), 500, "internal_error"),
    ],
)
def test_every_error_has_the_one_shape(error, status, code):
    answer, said = ask(error)
    assert (answer.status_code, said["code"]) == (status, code)
    assert set(said) == {"success", "code", "message", "detail"}
    assert said["success"] is False
    assert "password" not in answer.content.decode()


def test_codes_without_a_number_are_refusals():
    class Odd(EngageError):
        code = "odd"

    assert ask(Odd("no"))[0].status_code == 400


@pytest.mark.parametrize("code", ["queue_full", "unavailable"])
def test_what_may_come_again_says_when(code):
    answer = api.refusal(code, "later")
    assert answer["Retry-After"] == answer["X-RateLimit-Reset"] == "5"


def test_preflight_asks_nobody():
    answer, _ = ask(RuntimeError(), method="options")
    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] == "*"


def read(body, limit=1000, **headers):
    request = RequestFactory().generic("POST", "/", body, headers=headers)
    return api.read_body(request, limit=limit)


def test_body_of_exactly_the_limit_is_read():
    assert read(b"x" * 1000) == b"x" * 1000
    assert read(gzip.compress(b"x" * 1000), content_encoding="gzip") == b"x" * 1000


@pytest.mark.parametrize("body", [b"x" * 1001, gzip.compress(b"x" * 1001)])
def test_body_over_the_limit_is_refused(body):
    encoding = {"content_encoding": "gzip"} if body[0] == 0x1F else {}
    with pytest.raises(api.BodyTooLarge, match="larger than 1,000 bytes"):
        read(body, **encoding)


def test_bomb_is_never_unpacked_whole():
    bomb = gzip.compress(b"0" * 5_000_000)
    with pytest.raises(api.BodyTooLarge):
        api.unpack(bomb, window=31, limit=10_000)
