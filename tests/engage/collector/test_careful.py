import pytest

from engage.collector import careful
from engage.collector.careful import Malformed, Unstorable


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (b"[]", []),
        (b" [ ] ", []),
        (b"[1,2]", [b"1", b"2"]),
        (b'[{"a":[1,2]},"x,y]"]', [b'{"a":[1,2]}', b'"x,y]"']),
        (b'["\\"",1]', [b'"\\""', b"1"]),
        (b'["\\\\",1]', [b'"\\\\"', b"1"]),
        (b"[NaN,[[]]]", [b"NaN", b"[[]]"]),
    ],
)
def test_parts_are_cut_at_outer_commas(raw, parts):
    assert careful.split(raw) == parts


@pytest.mark.parametrize(
    "raw",
    [b"", b"1", b"[", b"]", b"[}", b"[1", b"[1]]", b"[1][2]", b"[1] 2", b"2 [1]", b"[1,]", b"[,1]",
     b"[1,,2]", b'["a', b'["a\\"]', b'"[1]"', b'[1]"'],
)  # fmt: skip
def test_what_does_not_close_is_malformed(raw):
    with pytest.raises(Malformed):
        careful.split(raw)


def test_members_are_found_by_name():
    raw = b'{ "a" : 1, "b": {"c": [2, "}"]}, "\\u0063":NaN }'
    assert careful.members(raw) == {"a": b" 1", "b": b' {"c": [2, "}"]}', "c": b"NaN "}


@pytest.mark.parametrize("raw", [b"[]", b"{1:2}", b'{"a"}', b'{"a\\x":1}', b'{"a" 1}'])
def test_object_without_names_is_malformed(raw):
    with pytest.raises(Malformed):
        careful.members(raw)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"NaN", "not_a_number"),
        (b'{"a": -Infinity}', "not_a_number"),
        (b"1e400", "number_too_large"),
        (b"-1e400", "number_too_large"),
        (b"9" * 41, "number_too_large"),
        (b"9" * 6000, "number_too_large"),
        (b'"\\u0000"', "nul_character"),
        (b'{"a\\u0000": 1}', "nul_character"),
        (b'"\x00"', "nul_character"),
        (b'"\\ud800"', "lone_surrogate"),
        (b'["\\udc00\\ud800"]', "lone_surrogate"),
        (b'"\xff"', "invalid_utf8"),
        (b'"\xed\xa0\x80"', "invalid_utf8"),
        (b"[" * 22 + b"]" * 22, "too_deep"),
        (b"[" * 200_000 + b"]" * 200_000, "too_deep"),
    ],
)
def test_what_cannot_be_kept_is_named(raw, code):
    with pytest.raises(Unstorable) as refused:
        careful.read(raw)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b' {"a": [1.5, true, null]} ', {"a": [1.5, True, None]}),
        (b"9" * 40, int("9" * 40)),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\\\u0000"', "\\u0000"),
        (b'"a\tb\nc"', "a\tb\nc"),
        (b"[" * 21 + b"]" * 21, [[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
)
def test_what_can_be_kept_is_read(raw, value):
    assert careful.read(raw) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"{]", b'{"a" 1}', b"nul", b"01", b"1 2", b"'a'"])
def test_what_is_no_json_is_malformed(raw):
    with pytest.raises(Malformed):
        careful.read(raw)
