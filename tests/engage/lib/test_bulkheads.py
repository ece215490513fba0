"""Places among the processes that a server forks, held by the kernel."""

import os
import signal
from contextlib import ExitStack, contextmanager

import pytest

from engage.lib import bulkheads
from engage.lib.bulkheads import Bulkheads


@contextmanager
def forked(walls: Bulkheads, kind: str):
    """A child that tries to enter: whether it could, and its number. It stays for the block."""
    found, say = os.pipe()
    wait, go = os.pipe()
    child = os.fork()
    if child == 0:
        with walls.enter(kind) as entered:
            os.write(say, b"in" if entered else b"no")
            os.close(go)  # or we would hold our own end open
            os.read(wait, 1)
        os._exit(0)
    try:
        yield os.read(found, 2) == b"in", child
    finally:
        for end in (go, wait, say, found):
            os.close(end)
        os.waitpid(child, 0)


def enter_all(walls: Bulkheads, stack: ExitStack, kinds: list[str]) -> list[bool]:
    return [stack.enter_context(forked(walls, kind))[0] for kind in kinds]


def test_a_kind_has_its_places_and_no_more():
    walls = Bulkheads(["push", "email"], places=2)
    with ExitStack() as stack:
        assert enter_all(walls, stack, ["push"] * 3) == [True, True, False]


def test_a_kind_that_is_full_takes_nothing_from_another():
    walls = Bulkheads(["push", "email", "sms"], places=2)
    with ExitStack() as stack:
        enter_all(walls, stack, ["push", "push", "push", "sms", "sms", "sms"])
        assert enter_all(walls, stack, ["email"] * 3) == [True, True, False]


def test_a_place_is_free_again_after_the_block():
    walls = Bulkheads(["push"], places=1)
    with forked(walls, "push") as (entered, _):
        assert entered
    with forked(walls, "push") as (entered, _):
        assert entered


def test_a_place_is_free_again_after_an_error():
    walls = Bulkheads(["push"], places=1)
    with pytest.raises(RuntimeError), walls.enter("push"):
        raise RuntimeError
    with forked(walls, "push") as (entered, _):
        assert entered


def test_a_killed_process_leaves_its_place():
    walls = Bulkheads(["push"], places=1)
    with forked(walls, "push") as (entered, child):
        assert entered
        with forked(walls, "push") as (entered, _):
            assert not entered
        os.kill(child, signal.SIGKILL)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with forked(walls, "push") as (entered, _):
            assert entered


def test_two_servers_do_not_share_places():
    with ExitStack() as stack:
        for _ in range(2):
            walls = Bulkheads(["push"], places=1)
            assert enter_all(walls, stack, ["push"]) == [True]


def test_where_nothing_was_opened_there_is_always_a_place():
    with bulkheads.enter("push") as entered:
        assert entered
