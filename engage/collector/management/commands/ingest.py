import logging
import signal
import socket
import threading
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand

from engage.collector import ingest, stream
from engage.lib.processes import say_ready

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Move events from the queue into the database until it is told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--name",
            default=socket.gethostname(),
            help="of this consumer; each of several keeps a name of its own over restarts",
        )

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        warn_if_not_durable()
        say_ready()
        ingest.run(name, stop)


def warn_if_not_durable() -> None:
    try:
        durable = stream.is_durable()
    except redis.RedisError:
        return
    if durable is False:
        logger.warning(
            "Redis may lose acknowledged events: set appendonly yes and appendfsync always"
        )
