"""Faults of who says when: schedulers, double clicks, pauses."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import timedelta
from random import Random

from engage.runner import programs
from tests.faults import nemesis
from tests.faults.checker import Found, check
from tests.faults.faults import fault
from tests.faults.harness import ALL_IN_FLIGHT, PEOPLE, Installation, wait_until
from tests.faults.load import load, mail_of, make_campaign, token_of, user_of

NOBODY = {"did": "Never happened", "at_least": 1, "within_days": 1}
numbers = itertools.count(1)


def now():
    from engage.lib import clock

    return clock.now()


def scheduled(due) -> object:
    """A campaign to nobody, of which only the run matters."""
    from tests.factories import make_segment

    segment = make_segment(rule=NOBODY, name=f"nobody {next(numbers)} {time.time_ns()}")
    return make_campaign("email", segment=segment, schedule="at", starts_at=due)


@fault(
    "F-03",
    "three schedulers at once, killed with -9 again and again while campaigns fall due",
    passes="one run per due time, none missed, at most 5 s late",
    rounds=5,
)
def kill_schedulers(house: Installation, rng: Random) -> Found:
    from campaigns import lifecycle
    from campaigns.models import Run

    found = Found()
    with ExitStack() as stack:
        others = [
            stack.enter_context(house.another(f"beat-{number}", a_scheduler(house, number)))
            for number in (1, 2)
        ]
        start = now() + timedelta(seconds=4)
        campaigns = [scheduled(start + timedelta(seconds=rng.uniform(0, 12))) for _ in range(20)]
        for campaign in campaigns:
            lifecycle.launch(campaign, now=now())
        killed = rng.sample(range(2), 1)
        for moment in range(4):
            time.sleep(rng.uniform(2.0, 4.0))
            nemesis.kill(house.program("beat"))
            found.injections += 1
            if moment == 1:
                others[killed[0]].kill()
                found.injections += 1
        runs = Run.objects.filter(campaign__in=campaigns)
        wait_until(
            lambda: runs.filter(frozen_at__isnull=False).count() >= len(campaigns),
            seconds=60,
            what="every due campaign has its run",
        )
        time.sleep(2)
    found.planned = len(campaigns)
    found.accepted = runs.count()
    found.dup = runs.count() - len(campaigns)
    found.lost = runs.filter(state="missed").count()
    late = max((run.frozen_at - run.scheduled_for).total_seconds() for run in runs)
    found.note("latest_s", late)
    found.expect(found.dup == 0, f"{runs.count()} runs of {len(campaigns)} due times")
    found.expect(found.lost == 0, f"{found.lost} runs were missed")
    found.expect(late <= 5, f"a run began {late:.1f} s late")
    return found


def a_scheduler(house: Installation, number: int) -> list[str]:
    place = house.folder / f"beat-{number}.schedule"
    options = {"schedule": place, "pidfile": "", "loglevel": "WARNING"}
    return [*programs.celery(), "beat", *programs.flags(options)]


@fault(
    "F-09",
    "two schedulers, two launches by API and an admin's double click in the same moment",
    passes="exactly one run",
    rounds=100,
)
def everybody_at_once(house: Installation, rng: Random) -> Found:
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.urls import reverse

    from campaigns import lifecycle, runs
    from campaigns.models import Run

    root, _ = User.objects.get_or_create(
        username="root", defaults={"is_staff": True, "is_superuser": True}
    )
    due = now()
    once = scheduled(due) if rng.random() < 0.5 else scheduled_now()
    begin = threading.Barrier(6)

    def together(act) -> None:
        try:
            begin.wait(20)
            act()
        finally:
            connection.close()

    def click() -> None:
        client = Client(HTTP_HOST="localhost")
        client.force_login(root)
        answer = client.post(reverse("admin:campaigns_campaign_launch", args=[once.pk]))
        assert answer.status_code == 302, answer.status_code

    def launch() -> None:
        from campaigns.models import Campaign

        lifecycle.launch(Campaign.objects.get(pk=once.pk), now=due)

    def tick() -> None:
        for _ in range(5):
            runs.start_due(now())

    acts = [tick, tick, launch, launch, click, click]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(together, acts))
    made = Run.objects.filter(campaign=once)
    wait_until(made.exists, seconds=10, what="the campaign has a run")  # others tick as well
    count = made.count()
    found = Found(planned=1, accepted=count, injections=1, dup=max(0, count - 1))
    found.lost = 1 - min(count, 1)
    found.expect(count == 1, f"{count} runs of one campaign")
    return found


def scheduled_now() -> object:
    from tests.factories import make_segment

    segment = make_segment(rule=NOBODY, name=f"nobody {next(numbers)} {time.time_ns()}")
    return make_campaign("email", segment=segment)


@fault(
    "F-12",
    "pause and resume while it sends, then resume or cancel; 40 people withdraw meanwhile",
    passes="no call starts > 5 s after a pause; nobody twice; the final set exact",
    rounds=4,
)
def pause_and_resume(house: Installation, rng: Random) -> Found:
    from campaigns import lifecycle
    from campaigns.errors import IllegalMove

    spans: list[tuple[float, float]] = []  # of pauses
    cancels = rng.random() < 0.5
    with load(house, rng) as under_way:
        under_way.wait_for_calls(rng.uniform(0.05, 0.2))
        withdraw(under_way, rng)
        for length in (2, 9, 2):
            if under_way.is_over():
                break
            for campaign in under_way.campaigns:
                with suppress(IllegalMove):  # one of the two may be finished just now
                    lifecycle.pause(campaign, now=now())
            paused = time.time()
            time.sleep(length)
            spans.append((paused, time.time()))
            for campaign in under_way.campaigns:
                with suppress(IllegalMove):
                    lifecycle.resume(campaign, now=now())
            under_way.inject()
            time.sleep(2 if not under_way.is_over() else 0)
        if cancels:
            for campaign in under_way.campaigns:
                campaign.refresh_from_db()
                if campaign.state == "active":
                    lifecycle.cancel(campaign, now=now())
    found = check(under_way)
    cancelled_early = [one for one in found.wrong if "people of the audience" in one]
    if cancels and cancelled_early:  # planning was cancelled, too
        found.wrong = [one for one in found.wrong if one not in cancelled_early]
        found.lost = 0
    late = [
        call["at"] - paused
        for provider in house.providers.values()
        for call in provider.calls()
        for paused, resumed in spans
        if paused < call["at"] < resumed
    ]
    found.note("last_call_after_pause_s", max(late, default=0.0))
    found.expect(max(late, default=0.0) <= 5, f"a call {max(late, default=0):.1f} s after a pause")
    found.expect(spans, "nothing was paused: nothing was tried")
    opt_in_again(under_way)
    return found


def withdraw(under_way, rng: Random) -> None:
    """Forty people leave both channels; what their commit precedes must not be called."""
    from engage.profiles.models import Consent, Identity

    people = rng.sample(range(PEOPLE), 40)
    profiles = dict(
        Identity.objects.filter(kind="user", value__in=map(user_of, people)).values_list(
            "value", "profile_id"
        )
    )
    for person in people:
        for channel in ("email", "push"):
            Consent.objects.update_or_create(
                profile_id=profiles[user_of(person)], channel=channel, topic="",
                defaults={"status": "opted_out", "stated_ms": time.time_ns() // 1_000_000},
            )  # fmt: skip
    for person in people:
        under_way.withdrawn[mail_of(person)] = under_way.withdrawn[token_of(person)] = time.time()


def everybody_leaves(house: Installation, rng: Random) -> Found:
    """C14: what is marked at the commit may still go out, and nothing else."""
    with load(house, rng, events=0) as under_way:
        under_way.wait_for_calls(rng.uniform(0.1, 0.4))
        opt_everybody_out()
        committed = time.time()
        under_way.inject()
        for person in range(PEOPLE):
            for address in (mail_of(person), token_of(person)):
                under_way.withdrawn[address] = committed
    found = check(under_way)
    opt_in_again(under_way)
    late = [
        call["at"] - committed
        for provider in house.providers.values()
        for call in provider.calls()
        if call["at"] > committed
    ]
    found.note("calls_after_commit", len(late))
    found.note("last_call_after_commit_s", max(late, default=0.0))
    found.expect(
        len(late) <= ALL_IN_FLIGHT, f"{len(late)} calls, at most {ALL_IN_FLIGHT} were marked"
    )
    found.expect(
        set(found.states) == {"accepted", "suppressed"}, f"they left, and there are {found.states}"
    )
    return found


def opt_everybody_out() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO profiles_consent"
            " (profile_id, channel, topic, status, stated_ms, message_id, source)"
            " SELECT profile_id, channel, '', 'opted_out', %s, '', ''"
            " FROM profiles_identity CROSS JOIN (VALUES ('email'), ('push')) AS c (channel)"
            " WHERE kind = 'user' ON CONFLICT (profile_id, channel, topic)"
            " DO UPDATE SET status = excluded.status, stated_ms = excluded.stated_ms",
            [time.time_ns() // 1_000_000],
        )


def opt_in_again(under_way) -> None:
    from engage.profiles.models import Consent

    assert under_way.withdrawn
    Consent.objects.filter(status="opted_out").update(status="opted_in")
