import json

import pytest

from delivery.channels.sms import SmsChannel, judge, read_account
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured
from engage.lib.http import Response
from tests.delivery.channels.drafts import sms_draft
from tests.providers import ledger


def test_a_text_arrives_with_its_callback(sms, texter):
    draft = sms_draft(text="Grüße & mehr = 100% 🎁")
    [outcome] = sms.send([draft])
    [line] = ledger.read(texter.ledger.path)
    assert outcome == Accepted(line["id"])
    assert line == {
        "key": str(draft.key), "to": draft.address, "id": line["id"],
        "text": "Grüße & mehr = 100% 🎁", "segments": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "written", ["+49 170 1234567", "+49 (170) 123-45.67", " +49\u00a0170/1234567", "+491701234567"]
)
def test_a_number_is_sent_without_what_people_put_between_its_digits(sms, texter, written):
    draft = sms_draft()
    draft = type(draft)(
        message_id=draft.message_id, key=draft.key, address=written, content=draft.content
    )
    assert isinstance(sms.send([draft])[0], Accepted)
    assert [line["to"] for line in ledger.read(texter.ledger.path)] == ["+491701234567"]


@pytest.mark.parametrize(
    "written",
    ["0170 1234567", "491701234567", "+0170123456", "+49170", "+" + "1" * 16, "ann", "+49a"],
)
def test_what_is_no_number_with_its_country_is_refused_before_the_call(sms, texter, written):
    draft = sms_draft()
    draft = type(draft)(
        message_id=draft.message_id, key=draft.key, address=written, content=draft.content
    )
    assert sms.send([draft]) == [Refused("invalid_address")]
    assert texter.requests == 0


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("x" * 1_600, Accepted), ("x" * 1_601, Refused("text_too_long")),
        ("🎁" * 800, Accepted), ("🎁" * 801, Refused("text_too_long")),
        ("", Refused("no_text")), (" \n", Refused("no_text")),
    ],
)  # fmt: skip
def test_a_text_beyond_the_limit_is_refused_before_the_call(sms, texter, text, outcome):
    [found] = sms.send([sms_draft(text=text)])
    if outcome is Accepted:
        assert isinstance(found, Accepted)
    else:
        assert (found, texter.requests) == (outcome, 0)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("21610", Refused("opted_out", gone=True)),
        ("21211", Refused("sms_21211", gone=True)),
        ("21614", Refused("sms_21614", gone=True)),
        ("30007", Refused("sms_30007")),
        ("21617", Refused("sms_21617")),
        ("20429", TryLater("sms_20429", 30.0, everybody=True)),
        ("20003", TryLater("sms_20003", everybody=True)),
        ("21606", TryLater("sms_21606", everybody=True)),
        ("unavailable", TryLater("http_503", everybody=True)),
        ("html", Unknown("malformed_answer")),
        ("reset", Unknown("connection_broke")),
    ],
)
def test_answers_are_classed_by_the_providers_number(sms, texter, fault, outcome):
    texter.faults.play(fault, match="bad")
    first, second = sms.send([sms_draft("bad"), sms_draft("good")])
    assert first == outcome
    assert isinstance(second, Accepted)


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (500, 20500, Unknown("sms_20500", everybody=True)),
        (502, None, Unknown("http_502", everybody=True)),
        (504, None, Unknown("http_504", everybody=True)),
        (503, 20503, TryLater("sms_20503", everybody=True)),
        (301, None, TryLater("http_301", everybody=True)),
        (307, None, TryLater("http_307", everybody=True)),
        (400, [], Refused("http_400")),
        (400, {}, Refused("http_400")),
        (400, True, Refused("http_400")),
    ],
)
def test_what_may_have_been_sent_is_unknown_and_odd_words_are_none(status, code, outcome):
    """A text has no key: the provider itself says that one repeated after a 500 may come twice."""
    assert judge(Response(status, {}, json.dumps({"code": code}).encode())) == outcome


def test_a_wish_for_a_pause_is_passed_on(sms, texter):
    texter.faults.play("20429", retry_after="7")
    assert sms.send([sms_draft()]) == [TryLater("sms_20429", 7.0, everybody=True)]


@pytest.mark.parametrize(
    ("name", "value"), [("SMS_TOKEN", "wrong"), ("SMS_ACCOUNT", "ACother"), ("SMS_FROM", "+15559")]
)
def test_an_account_that_is_not_taken_pauses_and_refuses_nobody(texter, settings, name, value):
    setattr(settings, name, value if name != "SMS_FROM" else "+15550009999")
    [outcome] = SmsChannel().send([sms_draft()])
    assert isinstance(outcome, TryLater)
    assert outcome.everybody
    assert ledger.read(texter.ledger.path) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SMS_ACCOUNT", "", "ENGAGE_SMS_ACCOUNT is not set"),
        ("SMS_ACCOUNT", "AC/../x", "ENGAGE_SMS_ACCOUNT: expected letters"),
        ("SMS_TOKEN", "", "ENGAGE_SMS_TOKEN is not set"),
        ("SMS_FROM", "", "ENGAGE_SMS_FROM: expected"),
        ("SMS_FROM", "0170 123", "ENGAGE_SMS_FROM: expected"),
        ("SMS_FROM", "a name too long", "ENGAGE_SMS_FROM: expected"),
        ("SMS_URL", "http://sms.example", "ENGAGE_SMS_URL must begin"),
    ],
)
def test_a_wrong_account_says_what_is_expected(texter, settings, name, value, said):
    setattr(settings, name, value)
    with pytest.raises(ChannelNotConfigured, match=said):
        read_account()


@pytest.mark.parametrize("sender", ["+15550001111", "Shop", "Shop 24", "12345", "MG" + "a" * 32])
def test_numbers_names_short_codes_and_services_may_send(texter, settings, sender):
    settings.SMS_FROM = sender
    assert read_account().sender == sender


def test_the_token_stands_in_no_log_of_the_account(texter):
    assert "sesame" not in repr(read_account())
