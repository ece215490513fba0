import json
import smtplib
import time
import tracemalloc
from collections import deque
from email import message_from_bytes, policy

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from delivery.channels.smtp import Conversation, Mail, SmtpChannel, find_size
from delivery.channels.smtp_server import parse_url
from delivery.drafts import Accepted, Refused, TryLater, Unknown
from delivery.errors import ChannelNotConfigured, ChannelUnavailable
from tests.delivery.channels.drafts import mail_draft
from tests.providers.certificates import make_certificates
from tests.providers.smtp import SmtpSink


def received(sink):
    [(_, raw)] = sink.seen
    return message_from_bytes(raw, policy=policy.default)


def test_a_mail_arrives_as_it_was_written(mail, sink):
    draft = mail_draft(
        "Ann@shop.example", subject="Schöne Grüße €", html="<p>Hé 🎁</p>", text="Hé\n.\nbye",
        sender="Käse, the shop <news@shop.example>".replace(",", ""),
        unsubscribe_url="https://shop.example/u/abc",
    )  # fmt: skip
    [outcome] = mail.send([draft])
    assert isinstance(outcome, Accepted)
    assert outcome.provider_id == "2.0.0 Ok: queued as 1"
    got = received(sink)
    assert (got["subject"], got["to"], got["from"]) == (
        "Schöne Grüße €", "Ann@shop.example", "Käse the shop <news@shop.example>",
    )  # fmt: skip
    assert got["message-id"] == f"<{draft.key}@shop.example>"
    assert got["list-unsubscribe"] == "<https://shop.example/u/abc>"
    assert got["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert got.get_body(("html",)).get_content() == "<p>Hé 🎁</p>"
    assert got.get_body(("plain",)).get_content() == "Hé\n.\nbye"


def test_a_second_try_has_the_same_message_id(mail, sink):
    draft = mail_draft()
    mail.send([draft])
    mail.send([draft])
    ids = {message_from_bytes(raw)["message-id"] for _, raw in sink.seen}
    assert ids == {f"<{draft.key}@shop.example>"}


HOSTILE = st.text(max_size=60).map(lambda text: f"x\r\nBcc: eve@evil.example\r\n{text}")


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(HOSTILE)
def test_no_value_makes_a_header_or_a_recipient_of_its_own(mail, sink, hostile):
    sink.seen.clear()
    draft = mail_draft(
        subject=hostile,
        sender=f'"{hostile}" <news@shop.example>',
        headers={"X-Campaign": hostile},
        unsubscribe_url=f"https://shop.example/u/{hostile}",
        text=hostile,
    )
    [outcome] = mail.send([draft])
    if isinstance(outcome, Refused):  # a sender that cannot be read any more
        assert outcome.reason == "invalid_sender"
        return
    got = received(sink)
    assert [recipient for recipient, _ in sink.seen] == ["ann@shop.example"]
    assert got["bcc"] is None
    assert {name.lower() for name in got} == {
        "from", "to", "subject", "date", "message-id", "list-unsubscribe",
        "list-unsubscribe-post", "x-campaign", "mime-version", "content-type",
    }  # fmt: skip


@pytest.mark.parametrize(
    "address",
    [
        "", "ann", "@shop.example", "ann@", "a b@shop.example",
        "ann@shop.example\r\nRCPT TO:<eve@evil.example>",
        "ann@shop.example> <eve@evil.example", "ann@@shop.example", "änn@shop.example",
        "ann@straße.example", "ann@βόλος.example", "ann@na\u200cme.example",
        "ann..x@shop.example", "<ann@shop.example>", f"{'a' * 65}@shop.example",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(mail, sink, address):
    assert mail.send([mail_draft(address)]) == [Refused("invalid_address")]
    assert sink.connections == 0


def test_a_domain_with_other_letters_goes_in_its_ascii_form(mail, sink):
    [outcome] = mail.send([mail_draft("ann@bücher.example")])
    assert isinstance(outcome, Accepted)
    assert sink.seen[0][0] == "ann@xn--bcher-kva.example"


def test_headers_that_are_ours_cannot_be_set(mail, sink):
    for name in ("Bcc", "to", "Message-ID", "Content-Type", "X Y", "X:Y", ""):
        assert mail.send([mail_draft(headers={name: "v"})]) == [Refused("invalid_header")]
    assert sink.seen == []


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("rcpt:550 5.1.1 nobody", Refused("smtp 550 5.1.1", gone=True)),
        ("rcpt:550 5.7.1 blocked for spam", Refused("smtp 550 5.7.1")),
        ("rcpt:550 no", Refused("smtp 550")),
        ("rcpt:450 4.2.0 greylisted", TryLater("smtp 450 4.2.0")),
        ("data:552 5.3.4 too big", Refused("smtp 552 5.3.4")),
        ("data:554 5.1.1 odd", Refused("smtp 554 5.1.1")),
        ("data:451 4.3.0 try again", TryLater("smtp 451 4.3.0")),
        ("data:421 4.3.2 shutting down", TryLater("smtp 421 4.3.2", everybody=True)),
    ],
)
@pytest.mark.parametrize("pipelining", [True, False])
def test_replies_are_classed_by_their_code(mail, sink, reply, outcome, pipelining):
    sink.pipelining = pipelining
    sink.faults.play(reply, match="bad")
    drafts = [mail_draft("bad@shop.example"), mail_draft("ann@shop.example")]
    first, second = mail.send(drafts)
    assert first == outcome
    assert isinstance(second, Accepted)
    assert [recipient for recipient, _ in sink.seen] == ["ann@shop.example"]


class Script:
    """A connection whose server answers by a list, whatever it is asked."""

    def __init__(self, *codes: int, pipelining: bool) -> None:
        self.answers = b"".join(b"%d 2.0.0 well\r\n" % code for code in codes)
        self.pipelining, self.said, self.sock = pipelining, b"", self

    def has_extn(self, name: str) -> bool:
        return self.pipelining

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, said: bytes) -> None:
        self.said += said

    def recv(self, most: int) -> bytes:
        taken, self.answers = self.answers[:most], self.answers[most:]
        return taken


def converse(session: Script, *recipients: str) -> tuple[dict, Conversation]:
    mails = [
        Mail(place, "shop@shop.example", f"{name}@shop.example", b"to %s\r\n" % name.encode())
        for place, name in enumerate(recipients)
    ]
    conversation, outcomes = Conversation(session, time.monotonic() + 5), {}
    conversation.deliver(deque(mails), outcomes)
    return outcomes, conversation


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("codes", "outcome"),
    [
        ((250, 250, 250, 250), TryLater("out_of_step")),  # a yes to DATA, and no mail was given
        ((250, 354, 503, 250), TryLater("out_of_step")),
        ((250, 250, 354, 354), Unknown("out_of_step")),
        ((250, 250, 354, 250), Accepted("2.0.0 well")),
    ],
)
def test_a_yes_to_something_else_is_no_acceptance(codes, outcome, pipelining):
    session = Script(*codes, pipelining=pipelining)
    outcomes, conversation = converse(session, "ann")
    assert outcomes == {0: outcome}
    assert (b"to ann" in session.said) == isinstance(outcome, Accepted | Unknown)
    assert conversation.over == (not isinstance(outcome, Accepted))


def test_a_mail_and_the_envelope_of_the_next_go_out_together():
    """DATA ends a group: the second mail waits for its 354."""
    session = Script(250, 250, 354, 250, 250, 250, 354, 250, pipelining=True)
    outcomes, _ = converse(session, "ann", "bob")
    assert outcomes == {0: Accepted("2.0.0 well"), 1: Accepted("2.0.0 well")}
    assert session.said.decode().split("\r\n") == [
        "MAIL FROM:<shop@shop.example>", "RCPT TO:<ann@shop.example>", "DATA",
        "to ann", ".",
        "MAIL FROM:<shop@shop.example>", "RCPT TO:<bob@shop.example>", "DATA",
        "to bob", ".", "",
    ]  # fmt: skip


YES, NO = Accepted("2.0.0 well"), Refused("smtp 550 2.0.0")
LEAVES = TryLater("smtp 421 2.0.0", everybody=True)
ONE = (250, 250, 354, 250)


@pytest.mark.parametrize(
    ("codes", "outcomes", "given"),
    [
        ((*ONE, 250, 550, 503, 250, *ONE), [YES, NO, YES], "ann cid"),  # 250: of RSET
        ((*ONE, 250, 550, 354, 554, *ONE), [YES, NO, YES], "ann cid"),  # 554: of the empty mail
        ((*ONE, 550, 503, 503, 250, *ONE), [YES, NO, YES], "ann cid"),
        ((*ONE, 250, 250, 550, 250, *ONE), [YES, NO, YES], "ann cid"),
        ((*ONE, 250, 250, 354, 550, *ONE), [YES, NO, YES], "ann bob cid"),
        ((250, 250, 354, 421), [LEAVES], "ann"),
        ((*ONE, 250, 421), [YES, LEAVES], "ann"),
    ],
)
def test_a_no_to_one_does_not_move_the_answers_of_the_others(codes, outcomes, given):
    session = Script(*codes, pipelining=True)
    found, conversation = converse(session, "ann", "bob", "cid")
    assert found == dict(enumerate(outcomes))
    assert session.answers == b""
    assert conversation.over == (LEAVES in outcomes)
    names = [name for name in ("ann", "bob", "cid") if b"\r\nto " + name.encode() in session.said]
    assert names == given.split()


def test_a_connection_that_breaks_leaves_one_unknown_and_the_rest_go_by_another(mail, sink):
    """The envelope of the next was under way by then; nobody gets a mail twice."""
    sink.faults.play("accept_then_reset", match="bob", times=1)
    names = ("ann", "bob", "cid", "dan")
    outcomes = mail.send([mail_draft(f"{name}@shop.example") for name in names])
    assert [type(outcome) for outcome in outcomes] == [Accepted, Unknown, Accepted, Accepted]
    assert [to for to, _ in sink.seen] == [f"{name}@shop.example" for name in names]
    assert sink.connections == 2


def test_a_mail_that_is_begun_and_not_handed_over_is_no_call(mail, sink, tmp_path):
    """Its envelope was under way when an answer made no sense: the fault waits for the mail."""
    sink.faults.path = tmp_path / "faults.json"
    sink.faults.play("garbage", match="ann", times=1)
    sink.faults.play("data:552 5.3.4 too big", match="bob", times=1)
    outcomes = mail.send([mail_draft("ann@shop.example"), mail_draft("bob@shop.example")])
    assert outcomes == [Unknown("no_answer"), Refused("smtp 552 5.3.4")]
    calls = (tmp_path / "faults.calls").read_text().splitlines()
    assert [json.loads(call)["to"] for call in calls] == ["ann@shop.example", "bob@shop.example"]


@pytest.mark.parametrize(("announced", "fits"), [(99_999, False), (110_000, True)])
def test_the_bound_that_the_server_names_is_kept(mail, sink, announced, fits):
    """The mail is rendered to some 104,000 bytes."""
    sink.most_bytes = announced
    drafts = [mail_draft(html="x" * 76_000, text="") for _ in range(2)]
    outcomes = mail.send([*drafts, mail_draft("bob@shop.example")])
    expected = [Accepted] * 2 if fits else [Refused] * 2
    assert [type(outcome) for outcome in outcomes] == [*expected, Accepted]
    assert fits or outcomes[0] == Refused("payload_too_large")
    assert len(sink.seen) == (3 if fits else 1)
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("said", "most"),
    [("1000", 1_000), ("0", None), ("", None), ("many", None), ("9" * 21, None), ("-5", None)],
)
def test_a_bound_that_is_none_holds_nothing_back(said, most):
    session = smtplib.SMTP()
    session.esmtp_features = {"size": said}
    assert find_size(session) == most


def test_batches_share_one_connection(mail, sink):
    for _ in range(3):
        mail.send([mail_draft(), mail_draft()])
    assert sink.connections == 1


def test_a_kept_connection_that_the_server_closed_is_replaced_without_a_second_mail(mail, sink):
    mail.send([mail_draft()])
    mail._hang_up()
    [outcome] = mail.send([mail_draft()])
    assert isinstance(outcome, Accepted)
    assert (len(sink.seen), sink.connections) == (2, 2)


def test_a_connection_lost_with_the_last_dot_under_way_is_unknown(mail, sink):
    sink.faults.play("reset", match="ann", times=1)
    [outcome] = mail.send([mail_draft()])
    assert outcome == Unknown("no_answer")  # the last dot was on its way: nobody can know
    assert sink.seen == []


def test_a_server_that_lets_all_the_time_pass_is_itself_the_reason(mail, sink, settings):
    settings.PROVIDER_TIMEOUT_SECONDS = 1
    sink.faults.play("silent", match="ann")
    outcomes = mail.send([mail_draft(), mail_draft()])
    assert outcomes == [
        Unknown("no_answer", everybody=True),
        TryLater("no_time", everybody=True),
    ]


def test_a_reply_without_an_end_is_cut_off_and_unknown(mail, sink):
    sink.faults.play("endless", times=1)
    tracemalloc.start()
    try:
        outcomes = mail.send([mail_draft(), mail_draft()])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert outcomes[0] == Unknown("no_answer")
    assert isinstance(outcomes[1], Accepted)
    assert peak < 2_000_000


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it begins with TLS
@pytest.mark.parametrize("implicit", [True, False])
def test_mail_goes_encrypted_and_with_a_password(tmp_path, settings, implicit):
    ca_file, server_file = make_certificates(tmp_path)
    sink = SmtpSink(
        tmp_path / "l", server_file=server_file, implicit_tls=implicit, login=("user", "p@ss")
    )
    with sink.running():
        scheme, query = ("smtps", "") if implicit else ("smtp", "?starttls=1")
        settings.SMTP_URL = f"{scheme}://user:p%40ss@localhost:{sink.port}{query}"
        with pytest.raises(ChannelUnavailable, match="SSLCertVerificationError"):
            SmtpChannel().send([mail_draft()])
        settings.CA_FILE = str(ca_file)
        channel = SmtpChannel()
        [outcome] = channel.send([mail_draft()])
        channel.close()
        assert isinstance(outcome, Accepted)
        settings.SMTP_URL = settings.SMTP_URL.replace("p%40ss", "wrong")
        with pytest.raises(ChannelUnavailable, match="SMTPAuthenticationError"):
            SmtpChannel().send([mail_draft()])


def test_starttls_is_required_not_merely_tried(sink, settings):
    settings.SMTP_URL += "?starttls=1"
    with pytest.raises(ChannelUnavailable, match="SMTPNotSupportedError"):
        SmtpChannel().send([mail_draft()])
    assert sink.seen == []


@pytest.mark.parametrize(
    "url",
    ["", "mail.example", "http://mail.example", "smtp://", "smtp://h:port", "smtp://h?tls=1",
     "smtp://h/path", "smtp://h?starttls=yes"],
)  # fmt: skip
def test_a_wrong_url_says_what_to_write(url):
    with pytest.raises(ChannelNotConfigured, match="expected smtp://user:password@host:587"):
        parse_url(url)


def test_ports_follow_the_scheme():
    assert [parse_url(u).port for u in ("smtp://h", "smtp://h?starttls=1", "smtps://h")] == [
        25, 587, 465,
    ]  # fmt: skip


@pytest.mark.parametrize("url", ["smtp://me:secret@mail.example", "smtp://me:secret@10.0.0.7:25"])
def test_a_password_never_travels_in_the_clear(url):
    with pytest.raises(ChannelNotConfigured, match="in the clear") as refused:
        parse_url(url)
    assert "secret" not in str(refused.value)
    assert parse_url(f"{url}?starttls=1").password == "secret"
    assert parse_url("smtp://me:secret@127.0.0.1").password == "secret"
