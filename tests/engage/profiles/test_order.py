"""I-2: a profile is a function of the set of its events, not of their order or batches."""

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage.lib.clock import to_millis
from engage.profiles import activity, replay
from engage.profiles.models import Consent, Device, Event, Identity, Profile
from engage.profiles.store import store_events
from tests.engage.profiles.events import make_event
from tests.engage.profiles.replica import Person, people_of
from tests.factories import NOON

pytestmark = pytest.mark.django_db

users = st.sampled_from(["", "u1", "u2", "u3", "null"])
anonymous = st.sampled_from(["", "a1", "a2", "guest"])
flags = st.sampled_from(["opted_in", "opted_out"])
values = st.sampled_from(["red", "blue", 3, None])
traits = st.fixed_dictionaries(
    {},
    optional={
        "colour": values,
        "locale": st.sampled_from(["nb", None]),
        "subscriptions": st.fixed_dictionaries({"email": st.booleans()}),
    },
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "locale": st.sampled_from(["de", "en"]),
        "device": st.fixed_dictionaries(
            {"id": st.sampled_from(["d1", "d2"])},
            optional={"token": st.sampled_from(["t1", "t2", None])},
        ),
    },
)


@st.composite
def event(draw, number: int):
    kind = draw(st.sampled_from(["track", "track", "identify", "consent", "alias"]))
    user_id, anonymous_id = draw(users), draw(anonymous)
    if not user_id and not anonymous_id:
        user_id = "u1"
    fields = {
        "user_id": user_id,
        "anonymous_id": anonymous_id,
        "message_id": f"m{number}",
        "seconds": draw(st.sampled_from([0, 1, 2, 3, 90_000])),
        "context": draw(contexts),
    }
    if kind == "identify":
        return make_event("identify", kind="identify", traits=draw(traits), **fields)
    if kind == "alias":
        previous = draw(st.sampled_from(["u1", "u2", "a1", "a2", "x", "null"]))
        return make_event("alias", kind="alias", previous_id=previous, **fields)
    if kind == "consent":
        said = {"channel": "email", "status": draw(flags), "topic": draw(st.just(""))}
        return make_event("Consent Changed", properties=said, **fields)
    basket = [{"product_id": f"p{n}"} for n in range(draw(st.integers(0, 3)))]
    return make_event("Order Completed", properties={"products": basket}, **fields)


@st.composite
def arrivals(draw):
    """Events, and the batches they come in: permuted, split, some twice."""
    events = [draw(event(number)) for number in range(draw(st.integers(1, 9)))]
    order = draw(st.permutations(range(len(events))))
    order += draw(st.lists(st.sampled_from(order), max_size=3))
    batches, batch = [], []
    for position in order:
        batch.append(events[position])
        if draw(st.booleans()):
            batches.append(batch)
            batch = []
    return events, [*batches, batch]


def stored_people() -> list[Person]:
    people = []
    for profile in Profile.objects.filter(merged_into=None):
        mine = {"profile_id": profile.pk}
        people.append(
            Person(
                names=set(Identity.objects.filter(**mine).values_list("kind", "value")),
                events=set(Event.objects.filter(**mine).values_list("message_id", flat=True)),
                attributes=profile.attributes,
                consents={
                    (c.channel, c.topic): (c.status == "opted_in", c.stated_ms)
                    for c in Consent.objects.filter(**mine)
                },
                devices=dict(Device.objects.filter(**mine).values_list("device_id", "token")),
                touches=[tuple(t) for t in activity.get_touches([profile.pk])[profile.pk]],
                span=(to_millis(profile.first_seen), to_millis(profile.last_seen)),
            )
        )
    return people


def as_sorted(people: list[Person]) -> list[Person]:
    for person in people:
        person.touches = person.touches[:50]
    return sorted(people, key=lambda person: sorted(person.names))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(arrivals())
def test_any_order_of_arrival_gives_the_people_that_the_definitions_give(arrived) -> None:
    events, batches = arrived
    with transaction.atomic():
        for batch in batches:
            store_events(batch, now=NOON)
        expected = as_sorted(people_of(events))
        assert as_sorted(stored_people()) == expected
        with connection.cursor() as cursor:
            living = Profile.objects.filter(merged_into=None)
            replay.replay(cursor, living.values_list("pk", flat=True))
        assert as_sorted(stored_people()) == expected
        transaction.set_rollback(True)
