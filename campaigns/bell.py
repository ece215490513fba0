"""Whether somebody is already at a piece of work, so that the clock does not ring twice.

Only a saving: rows say what is due, every task may run twice, and a mark fades by itself.
"""

from engage.lib import redis

FADES_SECONDS = 10  # then a worker that died is taken for gone


def ring(*work: object) -> bool:
    """Take the bell of a work; False when somebody has it."""
    return bool(redis.client().set(_key(work), 1, nx=True, ex=FADES_SECONDS))


def hold(*work: object) -> None:
    """Say that the work goes on."""
    redis.client().set(_key(work), 1, ex=FADES_SECONDS)


def hang_up(*work: object) -> None:
    redis.client().delete(_key(work))


def _key(work: tuple[object, ...]) -> str:
    return redis.key("bell", *work)
