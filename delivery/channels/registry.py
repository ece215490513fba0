"""Which adapter serves a channel: one instance per thread, connections are not shared."""

import os
import threading
from importlib import import_module
from typing import cast

from django.conf import settings

from delivery.channels.base import Channel
from delivery.errors import ChannelNotConfigured

_local = threading.local()


def get_channel(name: str) -> Channel:
    """Raises ChannelNotConfigured when the channel or a setting of it is missing."""
    made = _made()
    if name not in made:
        made[name] = _make(name)
    return made[name]


def find_problem(name: str) -> str:
    """Why nothing can be sent by the channel now; empty when it can."""
    try:
        get_channel(name)
    except ChannelNotConfigured as exc:
        return exc.message
    return ""


def list_ready() -> list[str]:
    """The channels by which something can be sent now."""
    return [name for name in settings.CHANNELS if not find_problem(name)]


def forget_channels() -> None:
    """After a change of settings: the next message gets a new adapter."""
    _local.__dict__.clear()


def _made() -> dict[str, Channel]:
    """A forked worker must not talk over its parent's connections."""
    if getattr(_local, "pid", None) != os.getpid():
        _local.pid, _local.channels = os.getpid(), {}
    return cast(dict[str, Channel], _local.channels)


def _make(name: str) -> Channel:
    path = settings.CHANNELS.get(name)
    if path is None:
        raise ChannelNotConfigured(f"there is no channel {name!r}")
    module, _, adapter = path.rpartition(".")
    return cast(Channel, getattr(import_module(module), adapter)())
