import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from django.test import Client

from delivery import links
from delivery.links import ShownItem
from delivery.models import Link
from engage.lib.ids import digest16
from engage.lib.signing import sign, unsign
from tests.factories import make_message, make_profile

pytestmark = pytest.mark.django_db


@pytest.fixture
def message():
    return make_message(profile=make_profile(), topic="news")


def token_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


def test_a_click_link_leads_to_its_target_and_knows_its_product(message, settings):
    url = links.link_token(message, "https://shop.example/p1?a=1&b=2", item="p1", position=3)
    assert url.startswith(f"{settings.PUBLIC_URL}/t/c/")
    assert "shop.example" not in token_of(url)
    clicked = links.read_click(token_of(url))
    assert (clicked.profile_id, clicked.message_id, clicked.item, clicked.position) == (
        message.profile_id, message.id, "p1", 3,
    )  # fmt: skip
    assert links.find_target(clicked.link) == "https://shop.example/p1?a=1&b=2"


def test_one_target_is_one_row(message):
    for _ in range(3):
        links.link_token(message, "https://shop.example/")
    assert Link.objects.count() == 1


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "data:text/html,x", "//evil.example/", "/path", "mailto:a@b.test",
        "https://shop.example\\@evil.example/", "https://user@evil.example/", "https://%5cevil/",
        "https://shop.example/\r\nX: 1", "https://shop.example/a b", "https://", "https:///x",
        "ftp://shop.example/", "https://shop.example:99999/", "https://[::1/", "", "#top",
        f"https://shop.example/{'a' * 3_000}", "https://shop.example/\ud800",
    ],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_left_alone(message, url):
    assert links.link_token(message, url) == url
    assert Link.objects.count() == 0


def test_a_row_written_by_other_hands_leads_nowhere_unsafe(message):
    url = links.link_token(message, "https://shop.example/")
    Link.objects.update(url="javascript:alert(1)")
    assert links.find_target(links.read_click(token_of(url)).link) is None


def test_tokens_are_for_one_purpose(message):
    click = token_of(links.link_token(message, "https://shop.example/"))
    opened, out = token_of(links.open_url(message)), token_of(links.unsubscribe_url(message))
    assert links.read_click(out) is None
    assert links.read_click(opened) is None
    assert links.read_open(click) is None
    assert links.read_unsubscribe(click) is None
    assert links.read_unsubscribe(opened) is None
    assert links.read_unsubscribe(sign(b"", purpose="click")) is None


def test_the_way_out_carries_all_it_needs(message):
    way_out = links.read_unsubscribe(token_of(links.unsubscribe_url(message)))
    assert (way_out.profile_id, way_out.message_id, way_out.channel, way_out.topic) == (
        message.profile_id, message.id, "email", "news",
    )  # fmt: skip


def test_html_gets_its_links_tracked_and_a_pixel(message, settings):
    out = links.unsubscribe_url(message)
    html = (
        '<html><body><a class="x" href="https://shop.example/p1?a=1&amp;b=2">One</a>'
        "<a href='https://shop.example/about'>About</a>"
        '<a href="mailto:a@shop.example">Mail</a><a href="#top">Top</a>'
        f'<a href="{out}">Out</a><link href="https://shop.example/x.css"></body></html>'
    )
    tracked = links.tracked_html(
        html, message, [ShownItem("https://shop.example/p1?a=1&b=2", "p1", 2)]
    )
    urls = re.findall(r'href="([^"]*)"', tracked)
    assert [url.startswith(f"{settings.PUBLIC_URL}/t/c/") for url in urls] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert urls[4] == out
    one, about = links.read_click(token_of(urls[0])), links.read_click(token_of(urls[1]))
    assert (one.item, one.position, about.item, about.position) == ("p1", 2, "", None)
    assert links.find_target(one.link) == "https://shop.example/p1?a=1&b=2"
    [pixel] = re.findall(r'<img src="([^"]*)"', tracked)
    assert links.read_open(token_of(pixel)).message_id == message.id
    assert links.read_trap(token_of(urls[6])).message_id == message.id
    assert tracked.endswith("</body></html>")


def test_html_that_was_tracked_stays_as_it_is(message):
    once = links.tracked_html('<a href="https://shop.example/">x</a>', message)
    again = links.tracked_html(once, message)
    assert again.count("/t/c/") == 1
    assert re.findall(r'href="([^"]*)"', again)[:2] == re.findall(r'href="([^"]*)"', once)


def test_html_without_a_body_gets_its_pixel_at_the_end(message):
    assert links.tracked_html("<p>x</p>", message).startswith("<p>x</p><img src=")


# --- the corpus: where links may lead ---------------------------------------------------------

CORPUS = [
    line.split("\t")
    for line in (Path(__file__).parent / "urls.txt").read_text().splitlines()
    if not line.startswith("#")
]


def read(text: str) -> str:
    """Backslashes are Python's only before what Python escapes."""
    escape = r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|[tnr])"
    return re.sub(escape, lambda found: ESCAPES[found[0][:2]](found[0]), text)


ESCAPES = {
    "\\x": lambda text: chr(int(text[2:], 16)),
    "\\u": lambda text: chr(int(text[2:], 16)),
    "\\t": lambda _: "\t",
    "\\n": lambda _: "\n",
    "\\r": lambda _: "\r",
}


def test_the_corpus_is_whole():
    assert len(CORPUS) >= 200
    assert {line[0] for line in CORPUS} == {"yes", "no"}


def test_links_lead_to_the_host_that_is_written_there_or_nowhere(message):
    browser, wrong = Client(), []
    for verdict, host, text in CORPUS:
        url = read(text)
        ours = links.link_token(message, url)
        if (ours == url) == (verdict == "yes"):
            wrong.append((verdict, text))
        if verdict == "no":  # as if other hands had written the row
            try:
                digest = digest16(url)
            except UnicodeEncodeError:  # no row can hold it
                continue
            if "\x00" in url:
                continue
            Link.objects.get_or_create(digest=digest, defaults={"url": url})
            payload = links._who(message) + links.WHERE.pack(digest.bytes, 0)
            ours = f"/t/c/{sign(payload, purpose='click')}"
        answer = browser.get("/t/c/" + ours.rsplit("/t/c/", 1)[-1])
        led = urlsplit(answer.headers.get("Location", "")).hostname or ""
        wanted = host.encode("idna").decode() if verdict == "yes" else ""
        if (answer.status_code, unquote(led).encode("idna").decode()) != (
            302 if verdict == "yes" else 404, wanted,
        ):  # fmt: skip
            wrong.append((verdict, text, answer.status_code, led))
    assert wrong == []


@pytest.mark.parametrize("purpose", ["open", "unsubscribe", "trap", "sms status"])
def test_a_token_for_something_else_leads_nowhere(message, purpose):
    url = links.link_token(message, "https://shop.example/")
    payload = unsign(token_of(url), purpose="click")
    for token in (
        sign(payload, purpose=purpose),
        token_of(url)[:-1],
        "",
        "x",
        token_of(url) + "A",
    ):
        answer = Client().get(f"/t/c/{token}")
        assert (answer.status_code, answer.headers.get("Location")) == (404, None)
