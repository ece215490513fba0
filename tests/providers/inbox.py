"""The provider of inboxes is our own database; this breaks it as other providers break."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import OperationalError, connection
from django.db.models import QuerySet

from delivery.models import InboxMessage
from engage.profiles.models import Profile
from tests.factories import make_profile

PUTS = "INTO delivery_inboxmessage"


class InboxDatabase:
    def __init__(self) -> None:
        self.faults = self  # as other providers have them
        self.people: dict[str, int] = {}
        self.next_fault = ""
        self.commit_breaks = False
        self.others: list[Any] = []  # connections that hold locks
        self.timers: list[threading.Timer] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        commit = connection._commit

        def commit_and_break() -> None:
            commit()
            if self.commit_breaks:
                self.commit_breaks = False
                connection.connection.close()
                raise OperationalError("server closed the connection unexpectedly")

        connection._commit = commit_and_break  # type: ignore[method-assign]
        try:
            with connection.execute_wrapper(self._execute):
                yield
        finally:
            del connection._commit
            self.stop()

    def stop(self) -> None:
        for timer in self.timers:
            timer.cancel()
        for other in self.others:
            other.close()

    def address_of(self, name: str) -> str:
        """The number of a person who has the name from now on."""
        if name not in self.people:
            self.people[name] = make_profile().pk
        return str(self.people[name])

    def kept(self) -> "QuerySet[InboxMessage]":
        return InboxMessage.objects.order_by("created_at", "id")

    def play(self, action: str, *, match: str = "", seconds: float = 0, times: int = 1) -> None:
        match action:
            case "erased":
                Profile.objects.filter(pk=int(match)).delete()
            case "busy":
                self._hold("SELECT 1 FROM profiles_profile WHERE id = %s FOR UPDATE", [match])
            case "slow":
                other = self._hold("LOCK TABLE delivery_inboxmessage IN ACCESS EXCLUSIVE MODE")
                timer = threading.Timer(seconds, other.close)
                self.timers.append(timer)
                timer.start()
            case "reset" | "accept_then_reset":
                self.next_fault = action
            case _:
                raise ValueError(f"no such fault: {action}")

    def _hold(self, sql: str, parameters: list[str] | None = None) -> Any:
        """A lock, until its connection is closed."""
        wrapper = connection.copy()
        wrapper.ensure_connection()
        other = wrapper.connection
        other.autocommit = False
        with other.cursor() as cursor:
            cursor.execute(sql, parameters)
        self.others.append(other)
        return other

    def _execute(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        if PUTS in str(sql) and self.next_fault:
            action, self.next_fault = self.next_fault, ""
            if action == "reset":
                wrapper = connection.copy()
                with wrapper.cursor() as cursor:
                    pid = connection.connection.info.backend_pid
                    cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
                wrapper.close()
            else:
                self.commit_breaks = True
        return execute(sql, params, many, context)
