import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.channels.sms_text import GSM, GSM_EXTENDED, count_segments
from tests.providers.sms import segments


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("", "GSM-7", 0, 0),
        ("a", "GSM-7", 1, 1),
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 152 + "€" + "a" * 7, "GSM-7", 161, 2),
        ("€" * 153, "GSM-7", 306, 3),  # 76 in a part: the 77th would be cut in two
        ("Grüße an @lle, 5 £ [sic]", "GSM-7", 26, 1),
        ("Ça va", "GSM-7", 5, 1),
        ("ça va", "UCS-2", 5, 1),
        ("it’s", "UCS-2", 4, 1),  # one curly quote
        ("’" + "a" * 69, "UCS-2", 70, 1),
        ("’" + "a" * 70, "UCS-2", 71, 2),
        ("’" + "a" * 133, "UCS-2", 134, 2),
        ("’" + "a" * 134, "UCS-2", 135, 3),
        ("🎁" * 35, "UCS-2", 70, 1),
        ("🎁" * 36, "UCS-2", 72, 2),
        ("🎁" * 67, "UCS-2", 134, 3),  # 33 in a part: the 34th would be cut in two
        ("a\tb", "UCS-2", 3, 1),  # a tab is not in the alphabet
    ],
)
def test_segments_are_counted_as_phones_put_them_together(text, encoding, units, count):
    found = count_segments(text)
    assert (found.encoding, found.units, found.count) == (encoding, units, count)


LETTERS = st.sampled_from([*sorted(GSM | GSM_EXTENDED), "’", "🎁", "é", "中"])
TEXTS = st.text(LETTERS, min_size=1, max_size=400) | st.text(
    st.sampled_from(sorted(GSM | GSM_EXTENDED)), min_size=1, max_size=700
)


@given(TEXTS)
def test_any_text_has_as_many_segments_as_its_slow_twin_cuts(text):
    assert count_segments(text).count == segments(text)


def test_the_alphabet_has_its_127_letters():
    assert (len(GSM), len(GSM_EXTENDED)) == (127, 10)  # the 128th is the escape; a page break


def test_a_count_says_which_letters_cost_more():
    assert str(count_segments("it’s “fine”")) == "1 SMS (11 of 70 places, UCS-2 because of ’ “ ”)"
    assert str(count_segments("a" * 161)) == "2 SMS (161 of 306 places, GSM-7)"
