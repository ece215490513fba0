from datetime import timedelta

import pytest

from recommendations.models import Build
from recommendations.steps import STEPS, Timer, describe, tell_row
from tests.factories import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def build():
    return Build.objects.create(catalog="default", started_at=NOON)


def test_part_of_a_step_is_a_part_of_its_share_of_the_whole():
    heard = []
    timer = Timer(lambda step, share: heard.append((step, round(share, 4))))
    with timer.step("choose"):
        timer.part(0.5)
    with timer.step("write"):
        timer.part(1.0)
    half = STEPS["choose"] + (STEPS["measure"] - STEPS["choose"]) / 2
    assert heard == [
        ("choose", STEPS["choose"]),
        ("choose", round(half, 4)),
        ("write", STEPS["write"]),
        ("write", 1.0),
    ]


def test_row_hears_each_step_and_within_one_at_most_once_a_second(
    build, django_assert_num_queries
):
    tell = tell_row(build)
    with django_assert_num_queries(2):
        for hundredth in range(100):
            tell("choose", hundredth / 100)
        tell("measure", 0.6)
    build.refresh_from_db()
    assert (build.progress["step"], build.progress["share"]) == ("measure", 0.6)


def test_telling_leaves_the_rest_of_the_row_alone(build):
    Build.objects.filter(pk=build.pk).update(reason="told meanwhile")
    tell_row(build)("read", 0.0)
    build.refresh_from_db()
    assert build.reason == "told meanwhile"


def test_long_silence_is_said(build):
    assert describe(build, now=NOON) == (0.0, "begins")
    build.progress = {"step": "learn", "share": 0.8, "told": NOON.isoformat()}
    assert describe(build, now=NOON + timedelta(seconds=20)) == (0.8, "learn")
    late = NOON + timedelta(minutes=4)
    assert describe(build, now=late) == (0.8, "learn, no word for 4 minutes")
