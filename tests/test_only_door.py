"""The dispatcher is the only door to a provider, and the mark is the only key to it.

Campaigns, transactional messages, test sends, retries and whatever comes leave a row behind; what
they send passes `delivery/dispatch.py`, and so consent, caps, pauses and the lease.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import pytest

from tests.test_architecture import ROOT, SOURCES, imports_in

CHANNELS: Final = ROOT / "delivery" / "channels"
# The adapters, by the module that each is in: the classes that send.
ADAPTERS: Final = {
    f"delivery.channels.{path.stem}": one.name
    for path in CHANNELS.glob("*.py")
    if path.stem != "base"  # what a channel promises
    for one in ast.parse(path.read_text()).body
    if isinstance(one, ast.ClassDef)
    and any(isinstance(part, ast.FunctionDef) and part.name == "send" for part in one.body)
}
# With one of these a file could speak with a provider by itself.
TRANSPORTS: Final = (
    "aiohttp", "aiosmtplib", "anymail.backends", "django.core.mail", "engage.lib.http.Door",
    "engage.lib.outbound.OutboundDoor", "http.client", "httpx", "pycurl", "requests", "smtplib",
    "urllib.request", "urllib3",
)  # fmt: skip
INSERTED: Final = re.compile(r"\b(?:INTO|COPY)\s+delivery_message\b.*'attempting'", re.DOTALL)
SET: Final = re.compile(
    r"\b(?:UPDATE|INTO)\s+delivery_message\b.*?\bSET\b(.*?)(?=\b(?:FROM|WHERE|RETURNING)\b|\Z)",
    re.DOTALL,
)
STATE: Final = re.compile(r"(?:\A|,)\s*state\s*=(.*?)(?=,\s*\w+\s*=|\Z)", re.DOTALL)
# A state that comes from a parameter or from another table may be this one, too.
MARKED: Final = re.compile(r"'attempting'|(?:\A|\bTHEN\b|\bELSE\b)\s*(?:%|\{|(?!m\.)\w+\.)")
LOOKING: Final = {"filter", "exclude", "get", "Q"}  # take a state, and write none

Find = Callable[[str], Iterator[str]]


def askings(source: str) -> Iterator[str]:
    """What hands out an adapter."""
    yield from {"get_channel"} & words(source)
    if "delivery.channels.registry" in imports(source):
        yield from {"_make", "_made"} & words(source)


def adapters(source: str) -> Iterator[str]:
    """Adapters that are imported with their module, named, or written out for a later import."""
    yield from ADAPTERS.keys() & imports(source)
    yield from {*ADAPTERS.values()} & words(source)
    yield from (word for word in words(source) if word.startswith("delivery.channels."))


def transports(source: str) -> Iterator[str]:
    for module in imports(source) | {word for word in words(source) if "." in word}:
        yield from (one for one in TRANSPORTS if f"{module}.".startswith(f"{one}."))


def markings(source: str) -> Iterator[str]:
    """What writes a message as one that may be called, in SQL or in Python."""
    tree = ast.parse(source)
    for text in texts_in(tree):
        yield from INSERTED.findall(text)
        for clause in SET.findall(text):
            yield from (state for state in STATE.findall(clause) if MARKED.search(state))
    for node in ast.walk(tree):
        yield from (ast.unparse(node) for value in given(node) if means_attempting(value))


def given(node: ast.AST) -> Iterator[ast.expr]:
    """The values that a call, a dictionary or an assignment gives to a `state`."""
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), keywords=keywords):
            if name not in LOOKING:
                yield from (one.value for one in keywords if one.arg == "state")
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "state":
                    yield value
        case ast.Assign(targets=[ast.Attribute(attr="state")], value=value):
            yield value


def means_attempting(value: ast.expr) -> bool:
    return not {"ATTEMPTING", "attempting"}.isdisjoint(words(ast.unparse(value)))


@cache
def imports(source: str) -> frozenset[str]:
    return frozenset(imports_in(source, package="delivery"))


@cache
def words(source: str) -> frozenset[str]:
    """Every name in the code, behind a dot and in imports, too, and every text in it."""
    seen = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word) | ast.alias(name=word):
                seen.add(word)
            case ast.Constant(value=str(word)):
                seen.add(word)
    return frozenset(seen)


def texts_in(tree: ast.AST) -> Iterator[str]:
    """The texts, those with something filled in as one, {} for what is filled in."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=parts):
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts
                )
            case ast.Constant(value=str(text)):
                yield text


def found(find: Find) -> set[str]:
    """Where in the project outside of the channels, and what."""
    return {
        f"{path.relative_to(ROOT)}: {what}"
        for path in SOURCES
        if not path.is_relative_to(CHANNELS)
        for what in find(path.read_text())
    }


def test_only_the_dispatcher_asks_for_a_channel() -> None:
    assert found(askings) == {"delivery/dispatch.py: get_channel"}


def test_nobody_reaches_past_the_dispatcher_for_an_adapter() -> None:
    named = {one for one in found(adapters) if not one.startswith("engage/settings.py")}
    assert named == {  # whether the accounts in the settings can be read
        "delivery/checks.py: delivery.channels.apns",
        "delivery/checks.py: delivery.channels.fcm",
        "delivery/checks.py: delivery.channels.sms",
        "delivery/checks.py: delivery.channels.web_push",
    }


def test_only_the_channels_speak_with_the_world_outside() -> None:
    assert found(transports) == {
        "delivery/esps.py: anymail.backends",  # made for the channel
        "delivery/hooks/sns.py: engage.lib.outbound.OutboundDoor",  # certificates, confirmations
        "engage/demo/client.py: urllib.request",  # this installation itself
        "engage/lib/http.py: pycurl",  # the door itself
        "engage/lib/outbound.py: engage.lib.http.Door",
        "engage/runner/probe.py: http.client",  # the web server it has started
    }


def test_only_the_mark_lets_a_message_out() -> None:
    marking = {one.partition(":")[0] for one in found(markings)}
    assert marking == {"delivery/marking.py"}


@pytest.mark.parametrize(
    ("find", "source"),
    [
        (askings, "from delivery.channels.registry import get_channel"),
        (askings, "from delivery.channels import registry\nregistry.get_channel('sms').send([])"),
        (askings, "def f():\n    from delivery.channels import registry as r\n    r._make('sms')"),
        (adapters, "from delivery.channels import smtp"),
        (adapters, "from delivery.channels.inbox import put"),
        (adapters, "from .channels import fcm"),
        (adapters, "import delivery.channels.webhook as hook"),
        (adapters, "import_module('delivery.channels.smtp')"),
        (adapters, "import_string('delivery.channels.esp.EspChannel')"),
        (transports, "import requests"),
        (transports, "import http.client"),
        (transports, "from django.core.mail import send_mail"),
        (transports, "from django.core import mail"),
        (transports, "from engage.lib.http import Door, Request"),
        (markings, "Message.objects.filter(state='leased').update(state='attempting')"),
        (markings, "message.state = State.ATTEMPTING"),
        (markings, "Message(state=Message.State.ATTEMPTING, reason='')"),
        (markings, "Message.objects.update_or_create(defaults={'state': State.ATTEMPTING})"),
        (markings, "q('''UPDATE delivery_message SET reason = '', state = 'attempting' ''')"),
        (markings, "q('UPDATE delivery_message m SET state = %s WHERE m.id = %s')"),
        (markings, "q('UPDATE delivery_message SET state = %(state)s, reason = %(reason)s')"),
        (markings, "q(f'UPDATE delivery_message SET state = {state} WHERE id = 1')"),
        (markings, "q('UPDATE delivery_message m SET state = new.state FROM new')"),
        (markings, "q('''UPDATE delivery_message SET\\n state = CASE WHEN due <= %(now)s\\n"
                   " THEN 'attempting' ELSE state END''')"),
        (markings, "q('''INSERT INTO delivery_message (id, state) VALUES (1, 'attempting')''')"),
    ],
)  # fmt: skip
def test_another_way_out_is_seen(find: Find, source: str) -> None:
    assert list(find(source))


@pytest.mark.parametrize(
    "source",
    [
        "Message.objects.filter(state=State.ATTEMPTING).count()",
        "COLOURS = {'attempting': 'blue'}",
        "q('''SELECT 1 FROM delivery_message WHERE state = 'attempting' ''')",
        "q('''UPDATE delivery_message SET reason = 'heard' WHERE state = 'attempting' ''')",
        "q('''UPDATE delivery_message m SET state = CASE WHEN m.expires_at <= %(now)s"
        " THEN 'expired' ELSE 'leased' END, reason = %(reason)s''')",
    ],
)
def test_who_only_looks_for_marked_messages_writes_none(source: str) -> None:
    assert list(markings(source)) == []
