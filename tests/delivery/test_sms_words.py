import pytest

from delivery.sms_words import Wish, read_wish


@pytest.mark.parametrize(
    "text",
    ["STOP", "stop", " Stop! ", "“Stop.”", "STOPALL", "Stop all", "UNSUBSCRIBE", "CANCEL", "END",
     "QUIT", "REVOKE", "OPTOUT", "Opt-Out", "opt  out", "REMOVE", "TD", "ARRET", "Arrêt",
     "ＳＴＯＰ", "stop\n"],
)  # fmt: skip
def test_a_word_that_ends_it_is_a_stop(text):
    assert read_wish(text) == Wish.STOP


@pytest.mark.parametrize("text", ["START", "Unstop", "yes", "Yes."])
def test_a_word_that_begins_again_is_a_start(text):
    assert read_wish(text) == Wish.START


@pytest.mark.parametrize("text", ["HELP", "info", "Help?"])
def test_a_word_that_asks_is_a_help(text):
    assert read_wish(text) == Wish.HELP


@pytest.mark.parametrize(
    "text",
    ["", " ", "!", "I cannot stop buying", "stopp", "yes please", "endless", "nonstop", "🎁"],
)
def test_any_other_text_is_no_wish(text):
    assert read_wish(text) is None
