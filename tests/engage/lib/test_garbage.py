import gc
import weakref

import pytest

from engage.lib.garbage import not_collected


class Knot:
    """Kept alive by itself: only the collector ends it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_on():
    was_on = gc.isenabled()
    gc.enable()
    yield
    if not was_on:
        gc.disable()


def test_nothing_is_collected_inside_and_what_is_left_goes_later():
    with not_collected():
        knot = weakref.ref(Knot())
        _ = [[] for _ in range(10 * gc.get_threshold()[0])]
        assert knot() is not None
    assert gc.isenabled()
    gc.collect()
    assert knot() is None


def test_an_error_has_it_collect_again():
    with pytest.raises(ValueError, match="broke"), not_collected():
        raise ValueError("broke")
    assert gc.isenabled()


def test_what_somebody_else_switched_off_stays_off():
    gc.disable()
    with not_collected():
        pass
    assert not gc.isenabled()
    gc.enable()


def test_a_function_can_be_run_so():
    assert not_collected()(gc.isenabled)() is False
