"""Every odd event there is, one a line, with the answer it gets; its neighbours never suffer.

`events_bad.jsonl`: `event` is the text as it stands in the body, `refused` the code, or null for
what is taken and must then be stored.
"""

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.collector import accept, ingest, stream
from engage.collector.access import Access
from engage.collector.formats import segment
from engage.collector.formats.event import MESSAGES, fault
from engage.collector.models import Quarantined
from engage.profiles.models import Event

CASES = [
    json.loads(line)
    for line in Path(__file__).with_name("events_bad.jsonl").open(encoding="utf-8")
]
GOOD = '{"type":"track","event":"Good","userId":"neighbour","messageId":"%s"}'


def batch(*events: str, **more: str) -> bytes:
    members = ['"batch":[' + ",".join(events) + "]"]
    members += [f'"{name}":{value}' for name, value in more.items()]
    return ("{" + ",".join(members) + "}").encode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_event_gets_its_answer_and_its_neighbours_theirs(case):
    parsed = segment.parse(batch(GOOD % "1", case["event"], GOOD % "2"), kind="batch")
    refused = [(each.index, each.code) for each in parsed.rejected]
    assert refused == ([(1, case["refused"])] if case["refused"] else [])
    assert len(parsed.events) == (2 if case["refused"] else 3)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_event_alone_gets_the_same_answer(case):
    if case["refused"] in {"unknown_type", "not_an_object"}:
        return  # the path says the type
    [kind] = re.findall(r'"type":"(\w+)"', case["event"])
    parsed = segment.parse(case["event"].encode(), kind=kind)
    assert [each.code for each in parsed.rejected] == [case["refused"]] * bool(case["refused"])


def test_every_reason_has_a_case():
    assert set(MESSAGES) - {case["refused"] for case in CASES} == {"invalid_utf8"}


def test_bytes_that_are_not_utf8_are_refused_alone():
    bad = b'{"type":"track","event":"E","userId":"u","properties":{"a":"\xff"}}'
    body = b'{"batch":[' + (GOOD % "1").encode() + b"," + bad + b"]}"
    parsed = segment.parse(body, kind="batch")
    assert ([each.code for each in parsed.rejected], len(parsed.events)) == (["invalid_utf8"], 1)


@pytest.mark.django_db(transaction=True)
def test_everything_that_is_taken_is_stored(client, write_key):
    taken = 0
    for case in CASES:
        answer = client.generic(
            "POST", "/v1/batch", batch(case["event"], writeKey=json.dumps(write_key))
        )
        assert answer.status_code == 200
        taken += answer.json()["accepted"]
    assert taken == sum(case["refused"] is None for case in CASES)
    stored = ingest.ingest_once()
    assert stored == taken
    assert Event.objects.count() == taken
    assert Quarantined.objects.count() == 0


@pytest.mark.parametrize(
    ("said_for_all", "code"),
    [('{"a":NaN}', "not_a_number"), ('{"a":"\\u0000"}', "nul_character"), ("7", "invalid_object")],
)
def test_bad_context_of_the_batch_is_answered_for_each_event(said_for_all, code):
    parsed = segment.parse(batch(GOOD % "1", GOOD % "2", context=said_for_all), kind="batch")
    assert [each.code for each in parsed.rejected] == [code, code]


def test_ids_of_the_batch_stand_for_events_without_one():
    for oddity in ("", '"\\u0000"'):  # read fast, and with care
        nobody = '{"type":"track","event":"E"}'
        events = [nobody, GOOD % "1", *([f'{{"x":{oddity}}}'] if oddity else [])]
        parsed = segment.parse(batch(*events, anonymousId='"a1"'), kind="batch")
        assert [(e.user_id, e.anonymous_id) for e in parsed.events] == [
            ("", "a1"),
            ("neighbour", ""),
        ]


# --- whatever comes ----------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("\x00")
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
names = [
    "type", "event", "userId", "anonymousId", "messageId", "timestamp", "originalTimestamp",
    "sentAt", "properties", "traits", "context", "name", "category", "groupId", "previousId",
]  # fmt: skip
plausible = st.fixed_dictionaries(
    {
        "type": st.sampled_from(sorted(set(segment.KINDS.values()))),
        "event": st.text(min_size=1),
        "userId": st.text(min_size=1),
    },
    optional={name: values for name in names[3:] if name != "userId"},
)
events = st.one_of(values, plausible, st.dictionaries(st.sampled_from(names), values))
bodies = st.one_of(
    values,
    st.fixed_dictionaries(
        {"batch": st.lists(events, max_size=4)},
        optional={"context": values, "sentAt": values, "userId": values, "writeKey": values},
    ),
)
whatever = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.django_db
@whatever
@given(body=bodies, kind=st.sampled_from(sorted(segment.KINDS)), cut=st.integers(0, 40))
def test_no_json_is_answered_500(client, write_key, body, kind, cut):
    raw = json.dumps(body).encode()
    raw = raw[:-cut] if cut < 10 and cut else raw
    answer = client.generic(
        "POST", f"/v1/{kind}", raw, headers={"authorization": f"Bearer {write_key}"}
    )
    assert answer.status_code in {200, 400}
    said = answer.json()
    if answer.status_code == 200 and kind == "b":
        assert said["accepted"] + len(said["rejected"]) == len(body["batch"])


@pytest.mark.django_db
@whatever
@given(raw=st.binary(max_size=200))
def test_no_bytes_are_answered_500(client, write_key, raw):
    answer = client.generic(
        "POST", "/v1/batch", raw, headers={"authorization": f"Bearer {write_key}"}
    )
    assert answer.status_code == 400


@pytest.mark.django_db
@settings(whatever, max_examples=60)
@given(found=st.lists(plausible, min_size=1, max_size=4))
def test_whatever_is_taken_is_stored(redis_keys, now, found):
    body = json.dumps({"batch": found}).encode()
    taken = accept.accept_batch(body, Access(1, "write"), now=now).accepted
    assert ingest.ingest_once() == taken
    assert Quarantined.objects.count() == stream.health()["depth"] == 0


@whatever
@given(found=st.lists(events, max_size=3))
def test_reading_with_care_gives_what_reading_fast_gives(found):
    raw = json.dumps({"batch": found}).encode()
    fast, with_care = segment.parse(raw, kind="batch"), segment.parse_batch_with_care(raw)
    for event in fast.events + with_care.events:
        assert fault(event) is None  # and ids are texts now
    assert fast == with_care
