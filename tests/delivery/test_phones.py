import pytest

from delivery.phones import find_number


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("+49 170 1234567", "+491701234567"),
        ("+49 (0)170 1234567", "+491701234567"),
        ("+44(0)20 7946-0018", "+442079460018"),
        (" +1 (202) 555.0142 ", "+12025550142"),
        ("+39 06 1234 5678", "+390612345678"),  # Italy dials its zero from everywhere
        ("0170 1234567", ""),
        ("(0)170 1234567", ""),
        ("+49", ""),
        ("+49 170 123 456 789 012", ""),
        ("+49 1701234567\n+49 1701234568", ""),
        ("", ""),
    ],
)
def test_a_number_is_read_as_people_write_it(typed, number):
    assert find_number(typed) == number
