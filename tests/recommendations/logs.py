"""What people were shown, made up: whoever sees a dear product clicks it more."""

from typing import NamedTuple

import numpy as np

from recommendations import features, rankers
from tests.factories import NOON

LENGTH = 8
PRICE = features.FEATURES.index("price")


class Logs(NamedTuple):
    """As `rankers.train` takes them."""

    table: np.ndarray
    clicked: np.ndarray
    lists: np.ndarray
    ts_ms: np.ndarray
    blocks: np.ndarray


def dear(table):
    return np.where(table[:, PRICE] > np.rint(1_000 * np.log1p(13.5)), 0.12, 0.02)


def alike(table):
    return np.full(len(table), 0.05)


def make_logs(liking=dear, *, lists=2_000, seed=1) -> Logs:
    """Products of the personal rung that cost 10 to 17, in lists of eight."""
    rng = np.random.default_rng(seed)
    size = lists * LENGTH
    table = np.full((size, len(features.FEATURES)), np.nan)
    table[:, 0] = np.tile(np.arange(1, LENGTH + 1), lists)
    table[:, 1] = features.code(features.RUNGS, "personal")
    table[:, 2] = features.code(features.SOURCES, "next")
    share = -np.sort(-rng.integers(100, 1_000, (lists, LENGTH)), axis=1)
    table[:, features.FEATURES.index("share")] = share.ravel()
    table[:, PRICE] = np.rint(1_000 * np.log1p(rng.integers(10, 18, size)))
    number = np.repeat(np.arange(lists), LENGTH)
    return Logs(
        table, rng.random(size) < liking(table), number, number * 1_000, np.zeros_like(number)
    )


def train(liking=dear, *, catalog="default", now=NOON, **options):
    return rankers.train(catalog, *make_logs(liking, **options), now=now)
