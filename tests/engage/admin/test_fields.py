"""What a person types in a form of ours: read exactly, refused with a sentence."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from engage.lib.forms import EventDaysField, HoursField, JsonField, WordsField


def refusal(field, typed: str) -> str:
    with pytest.raises(ValidationError) as caught:
        field.clean(typed)
    return " ".join(caught.value.messages)


@pytest.mark.parametrize(
    ("typed", "value"),
    [('{"all": []}', {"all": []}), (" [1, 2.5] ", [1, 2.5]), ('"ä"', "ä"), ("{}", {}), ("0", 0)],
)
def test_json_is_read(typed: str, value: object) -> None:
    assert JsonField().clean(typed) == value


def test_json_left_empty_is_the_value_for_empty() -> None:
    assert JsonField(required=False, empty={}).clean("  ") == {}


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ('{"a": 1,\n "b": }', "This is not JSON: line 2, column 7: Expecting value."),
        ("NaN", "This is not JSON: NaN is no number."),
        ("[-Infinity]", "This is not JSON: -Infinity is no number."),
        ("[1e999]", "A number in it is too large."),
        ('{"a": "\\u0000"}', "A text in it has a character that cannot be stored."),
        ('["\\ud800"]', "A text in it has a character that cannot be stored."),
        ("[" * 100 + "]" * 100, "This is nested too deeply."),
        ("[" * 100_000, "This is nested too deeply."),
        ("1" * 5_000, "This is not JSON"),
        ("", "This field is required."),
    ],
)
def test_broken_json_gets_a_sentence(typed: str, sentence: str) -> None:
    assert sentence in refusal(JsonField(), typed)


def test_json_is_shown_in_lines_and_as_it_was_typed() -> None:
    field = JsonField()
    assert field.prepare_value({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    assert field.prepare_value('{"a":') == '{"a":'


def test_words_are_split_and_kept_in_order() -> None:
    assert WordsField().clean(" b, a ,, c") == ["b", "a", "c"]
    assert WordsField(area=True).clean("p1\n\np2 ") == ["p1", "p2"]


def test_words_that_are_unknown_or_repeated_are_named() -> None:
    assert refusal(WordsField(choices=["a"]), "a, x") == "“x” is not one of: a."
    assert refusal(WordsField(), "a, a") == "“a” stands in the list twice."
    assert refusal(WordsField(), " ") == "This field is required."


def test_event_days_are_read() -> None:
    typed = "Order Completed: 365\n\nShop: Visited:7"
    assert EventDaysField().clean(typed) == {"Order Completed": 365, "Shop: Visited": 7}


@pytest.mark.parametrize(
    "line", ["Order Completed", "Order Completed: soon", ": 3", "A: -1", "A: 999999"]
)
def test_event_days_refuse_by_line(line: str) -> None:
    assert refusal(EventDaysField(), f"A: 1\n{line}").startswith("Line 2: expected an event")


def test_event_days_say_what_was_given_twice() -> None:
    assert refusal(EventDaysField(), "A: 1\nB: 1\n A : 2") == "“A” stands there twice."


def test_hours_become_a_length_of_time() -> None:
    assert HoursField().clean("1.5") == timedelta(minutes=90)
    assert HoursField().prepare_value(timedelta(hours=24)) == "24"
    assert "greater than or equal to 0.25" in refusal(HoursField(), "0")
    assert "number" in refusal(HoursField(), "soon")
