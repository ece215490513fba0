"""Receivers of webhooks that are away, come back and are sent again what they missed."""

from datetime import timedelta
from itertools import pairwise

import pytest
from standardwebhooks import Webhook

from campaigns import decisions, fanout, lifecycle, runs, sending, stats
from delivery import endpoints, outbox, policy, replay
from delivery.channels import registry
from delivery.models import Message, SendAttempt, WebhookEndpoint
from engage.lib import clock
from engage.profiles.models import Consent
from tests.campaigns.conftest import forget_everything
from tests.factories import make_campaign, make_profile, make_template
from tests.providers import ledger
from tests.providers.webhook import Receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_keys")]

HOUR = 3_600
CALLED_AFTER = [5, 300, 1_800, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
SECOND = timedelta(seconds=1)


@pytest.fixture
def now(settings, tmp_path):
    settings.DATA_DIR = tmp_path
    forget_everything()
    registry.forget_channels()
    yield clock.now()
    registry.forget_channels()
    forget_everything()


@pytest.fixture
def receiver(now, tmp_path, settings):
    endpoint = WebhookEndpoint.objects.create(name="orders", url="https://localhost/")
    secrets = endpoints.list_secrets(endpoint, now=now)
    receiver = Receiver(tmp_path / "hooks.jsonl", folder=tmp_path, secrets=secrets)
    with receiver.running():
        WebhookEndpoint.objects.update(url=f"{receiver.url}/orders")
        settings.PRIVATE_HOSTS = [("localhost", receiver.port)]
        settings.CA_FILE = str(receiver.ca_file)
        yield receiver


def launch(now, **fields):
    body = '{"who": {{ person.id | json }}}'
    campaign = make_campaign(
        channel="webhook",
        template=make_template(channel="webhook", body=body),
        endpoint=WebhookEndpoint.objects.get(),
        **fields,
    )
    run = lifecycle.launch(campaign, now=now)
    while fanout.plan_chunk(run.pk, now=now, limit=100):
        pass
    return run


def send(now):
    sending.send_chunk("webhook", now=now)


def send_until_over(run, now):
    """Send when something is due, till nothing is; the times, and the last one."""
    times = []
    while planned := Message.objects.filter(run_id=run.pk, state="planned").order_by("not_before"):
        now = planned[0].not_before
        send(now)
        times.append(now)
    return times, now


def states(run):
    return {state: n for state, n in outbox.count_states(run.pk).items() if n}


def endpoint():
    return WebhookEndpoint.objects.get()


def test_a_receiver_that_is_away_is_called_ten_times_and_then_disabled(receiver, now, caplog):
    make_profile(user_id="ada")
    receiver.faults.play("503")
    run = launch(now)
    times, end = send_until_over(run, now)
    message = Message.objects.get()
    assert (message.state, message.reason, message.attempt) == ("failed", "unavailable", 10)
    assert SendAttempt.objects.filter(outcome="unavailable").count() == len(receiver.seen) == 10
    longer = 1 + policy.jitter_of("webhook", message.id)
    for (before, after), seconds in zip(pairwise(times), CALLED_AFTER, strict=True):
        # The clock of a chunk goes on while it is called.
        assert 0 <= (after - before).total_seconds() - seconds * longer < 30
    assert endpoint().reason == "it took nothing for three days"
    assert endpoint().disabled_at >= end
    assert "webhook endpoint disabled" in caplog.messages
    assert runs.finish_done(end) == 1


def test_a_receiver_that_never_answers_in_time_is_disabled_too(receiver, now, settings):
    make_profile(user_id="ada")
    receiver.faults.play("accept_then_reset")
    run = launch(now)
    send_until_over(run, now)
    assert states(run) == {"unknown": 1}
    assert len({asked.headers["webhook-id"] for asked in receiver.seen}) == 1
    assert endpoint().reason == "it took nothing for three days"


def test_a_receiver_that_took_another_message_meanwhile_stays_enabled(receiver, now):
    make_profile(user_id="ada")
    fault = receiver.faults.play("503")
    run = launch(now)
    send(now)
    make_profile(user_id="bob")
    fault.match = "nothing like it"
    other = launch(now + SECOND)
    send(now + SECOND)
    assert states(other) == {"accepted": 2}
    fault.match = ""
    send_until_over(run, now)
    assert states(run) == {"failed": 1}
    assert endpoint().disabled_at is None


def test_what_it_took_before_the_first_call_does_not_keep_it_enabled(receiver, now):
    make_profile(user_id="ada")
    assert states_after_sending(launch(now), now) == {"accepted": 1}
    receiver.faults.play("503")
    run = launch(now + 60 * SECOND)
    send_until_over(run, now)
    assert endpoint().reason == "it took nothing for three days"


def states_after_sending(run, now):
    send(now)
    return states(run)


def test_an_end_that_the_marketer_chose_disables_nothing(receiver, now):
    make_profile(user_id="ada")
    receiver.faults.play("503")
    run = launch(now, expires_after=timedelta(hours=1))
    send_until_over(run, now)
    assert states(run) == {"expired": 1}
    assert len(receiver.seen) == 4  # after 0 s, 5 s, 5 min and 30 min; two hours are too late
    assert endpoint().disabled_at is None


def test_a_run_that_waits_for_one_receiver_holds_up_no_other(receiver, now):
    make_profile(user_id="ada")
    fault = receiver.faults.play("503")
    waiting = launch(now)
    send(now)
    fault.match = "nothing like it"
    other = launch(now + SECOND)
    send(now + SECOND)
    assert runs.finish_done(now + SECOND) == 1
    waiting.refresh_from_db()
    other.refresh_from_db()
    assert (waiting.state, other.state) == ("sending", "finished")


def test_what_it_missed_is_sent_again_under_the_same_id_and_the_run_goes_on(receiver, now):
    for name in ("ada", "bob", "cid"):
        make_profile(user_id=name)
    fault = receiver.faults.play("404")
    run = launch(now)
    send(now)
    assert states(run) == {"failed": 3}
    assert runs.finish_done(now) == 1
    first = {asked.headers["webhook-id"] for asked in receiver.seen}
    fault.match = "nothing like it"

    later = now + timedelta(days=20)
    assert replay.plan_again([run.campaign_id], now=later).messages == 3
    assert runs.reopen(later) == 1
    run.refresh_from_db()
    run.campaign.refresh_from_db()
    assert (run.state, run.finished_at, run.campaign.state) == ("sending", None, "active")
    send(later)
    again = receiver.seen[3:]
    assert {asked.headers["webhook-id"] for asked in again} == first
    [secret] = endpoints.list_secrets(endpoint(), now=later)
    for asked in again:
        Webhook(secret).verify(asked.body, asked.headers)
    assert {line["key"] for line in ledger.read(receiver.ledger.path)} == first

    assert states(run) == {"accepted": 3}
    assert runs.finish_done(later) == 1
    run.refresh_from_db()
    run.campaign.refresh_from_db()
    assert (run.state, run.campaign.state) == ("finished", "finished")
    figures = stats.run_page(run)["figures"]
    assert (figures["planned"], run.planned, figures["states"]["accepted"]) == (3, 3, 3)
    [decided] = decisions.count_decisions(run.pk)
    assert (decided.decision, decided.people) == ("accepted", 3)
    attempts = SendAttempt.objects.order_by("message_id", "attempt")
    assert list(attempts.values_list("attempt", "outcome")) == [
        (1, "refused"), (2, "accepted"),
    ] * 3  # fmt: skip


def test_a_receiver_that_had_a_message_takes_it_once_when_it_comes_again(receiver, now):
    make_profile(user_id="ada")
    fault = receiver.faults.play("accept_then_reset")
    run = launch(now)
    _, end = send_until_over(run, now)
    assert states(run) == {"unknown": 1}
    fault.match = "nothing like it"
    endpoints.enable(endpoint())
    replay.plan_again([run.campaign_id], now=end)
    send(end)
    assert states(run) == {"accepted": 1}
    assert len(receiver.seen) == 11
    assert len(ledger.read(receiver.ledger.path)) == 1


def test_after_it_was_sent_again_a_message_has_all_its_calls(receiver, now):
    make_profile(user_id="ada")
    fault = receiver.faults.play("503")
    run = launch(now)
    _, end = send_until_over(run, now)
    endpoints.enable(endpoint())
    # What it takes in between does not keep it enabled: the calls begin anew.
    fault.match = "nothing like it"
    assert states_after_sending(launch(end), end) == {"accepted": 1}
    fault.match = ""
    end += 60 * SECOND
    replay.plan_again([run.campaign_id], now=end)
    send_until_over(run, end)
    assert (states(run), len(receiver.seen)) == ({"failed": 1}, 21)
    assert Message.objects.get(run_id=run.pk).attempt == 20
    assert endpoint().reason == "it took nothing for three days"


def test_consent_withdrawn_meanwhile_holds_for_what_is_sent_again(receiver, now):
    ada = make_profile(user_id="ada")
    receiver.faults.play("404")
    run = launch(now)
    send(now)
    replay.plan_again([run.campaign_id], now=now)
    Consent.objects.create(profile=ada, channel="webhook", status="opted_out", stated_ms=0)
    send(now)
    assert states(run) == {"suppressed": 1}
    assert len(receiver.seen) == 1
