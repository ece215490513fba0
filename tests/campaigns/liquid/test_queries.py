from urllib.parse import parse_qs, urlsplit

import pytest

from campaigns.language import parse
from campaigns.liquid.queries import encode_address, encode_attributes


@pytest.mark.parametrize(
    ("source", "encoded"),
    [
        ("https://s.example/?q={{ a }}", "https://s.example/?q={{ a | url_encode }}"),
        (
            "?q={{ a }}&r=x{{ b -}}#{{ c }}",
            "?q={{ a | url_encode }}&r=x{{ b | url_encode -}}#{{ c }}",
        ),
        ("?q={% if a %}{{ a }}{% endif %}", "?q={% if a %}{{ a | url_encode }}{% endif %}"),
        ("{{ item.link }}", "{{ item.link }}"),
        ("{{ item.url }}?m=1&{{ more }}", "{{ item.url }}?m=1&{{ more }}"),
        ("?q={{ a | url_encode }}", "?q={{ a | url_encode }}"),
        ("/{{ a }}/x=y", "/{{ a }}/x=y"),
    ],
)
def test_a_value_in_a_query_is_encoded(source, encoded):
    assert encode_address(source) == encoded


def test_only_addresses_are_touched():
    html = """<a HREF = '?q={{ a | default: "x" }}' title="?q={{ a }}">?q={{ a }}</a>"""
    assert encode_attributes(html) == html.replace('"x" }}', '"x" | url_encode }}')


def test_a_value_comes_out_of_the_query_as_it_went_in():
    source = encode_address("https://s.example/p?q={{ q }}&r={{ r }}#top")
    values = {"q": "a&r=1#x?%2F+ü 😀", "r": "=&="}
    address = urlsplit(parse(source).render(values))
    assert parse_qs(address.query) == {"q": [values["q"]], "r": [values["r"]]}
    assert address.fragment == "top"
