"""Everything in one terminal: starts the stores and the programs, and keeps them running.

The order is a promise: programs stop before stores. What ends without being told to is started
again: with growing pauses as long as it does not come up or ends by itself soon after, and at once
when somebody killed it at its work.
"""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from engage.lib.errors import EngageError
from engage.lib.processes import READY_FILE
from engage.runner import children, output, probe
from engage.runner import programs as program_list
from engage.runner.errors import StartFailed
from engage.runner.locks import gate_file, read_owner, try_lock, write_owner
from engage.runner.running import stop_when_asked
from engage.runner.servers import forget_sockets, list_stores, owner_file
from engage.runner.status import read_status, write_status
from engage.runner.stores import Store

PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # before the next start of what ended
STEADY_SECONDS = 60.0  # at work for so long, what happened before is forgotten
# Ends that come from outside and say nothing of the program. The kernel short of memory is one of
# them: whoever grew that large was not quick to end again.
KILLED = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}
LOOK_SECONDS = 0.05
READY_SECONDS = 90.0
PROGRAMS_STOP_SECONDS = 2.2  # with the next, less than the five seconds we promise
STORES_STOP_SECONDS = 1.8
FAMILY_SECONDS = 3.0  # for the sessions of a killed server to go before it is started again


class StopAsked(BaseException):
    """Out of whatever the start is waiting for; a child that is just being made ends with us."""


@dataclass(slots=True)
class Charge:
    """One child we answer for."""

    name: str
    launch: Callable[[int], "subprocess.Popen[bytes]"]
    parting: signal.Signals
    came_up: Callable[[], bool]  # whether it is, or was before it ended, at work
    up_at: float | None = None  # when this start of it was seen to have come up
    process: "subprocess.Popen[bytes] | None" = None
    started_at: float = 0.0
    failures: int = 0
    due_at: float = 0.0

    def start(self) -> None:
        self.up_at = None
        sink = output.pump(self.name)
        try:
            self.process = self.launch(sink)
        finally:
            os.close(sink)
        self.started_at = time.monotonic()

    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def keep(self, now: float) -> bool:
        """Start it when it ended and its pause is over; whether something changed."""
        if self.is_alive():
            self.look(now)
            return False
        if self.process is not None:
            self.bury(now)
        if now < self.due_at:
            return False
        try:
            self.start()
        except (EngageError, OSError) as exc:
            self.postpone(now)
            output.say(f"cannot start: {exc}", name=self.name)
        return True

    def look(self, now: float) -> None:
        """Once it stayed up, what happened before is forgotten: its next end is a new story."""
        if self.up_at is None and self.came_up():
            self.up_at = now
        if self.up_at is not None and now >= self.up_at + STEADY_SECONDS:
            self.failures = 0

    def bury(self, now: float) -> None:
        """Its children must not live on beside those of the next start."""
        if self.process is None:
            return
        children.kill_group(self.process)
        code, self.process = self.process.returncode, None
        self.look(now)
        if self.up_at is not None and code in KILLED:
            self.failures = 0
        pause = self.postpone(now)
        output.say(f"ended ({ending(code)}), starts again in {pause:g} s", name=self.name)

    def postpone(self, now: float) -> float:
        pause = PAUSES_SECONDS[min(self.failures, len(PAUSES_SECONDS) - 1)]
        self.failures += 1
        self.due_at = now + pause
        return pause


@dataclass(slots=True)
class Supervisor:
    data_dir: Path
    host: str
    wanted_port: int
    nonce: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = 0
    claim: socket.socket | None = None  # on the port, for as long as we live
    stores: list[Charge] = field(default_factory=list)
    programs: list[Charge] = field(default_factory=list)
    stopping: bool = False
    ready: bool = False
    lock: int = -1  # held by the one who runs here
    servers_lock: int = -1
    gate: int = -1  # held until the tables are there

    def run(self, *, prepare: Callable[[], None]) -> None:
        """Until somebody asks to stop.

        Raises
        ------
        ServerMissing, StartFailed
            With what to do; everything that was started is stopped again.
        """
        stop_when_asked(self.ask_to_stop)
        try:
            self.take_folder()
            self.start_web(self.wanted_port)  # it loads while the stores start
            self.start_stores()
            if not self.stopping:
                prepare()
            self.open_gate()
            self.start_programs()
            self.watch()
        except StopAsked:
            pass
        finally:
            self.stop()

    def ask_to_stop(self, *_: object) -> None:
        """While we start we wait for others in many places, and leave them at once."""
        starts = not self.ready and not self.stopping
        self.stopping = True
        if starts:
            raise StopAsked

    # --- start ------------------------------------------------------------------------------

    def take_folder(self) -> None:
        lock = try_lock(lock_file(self.data_dir))
        if lock is None:
            url = read_status(self.data_dir).get("url", "")
            raise StartFailed(f"Engage already runs on {self.data_dir}: {url or 'it is starting'}")
        self.lock = lock
        gate = try_lock(gate_file(self.data_dir))
        self.gate = -1 if gate is None else gate
        self.write_status()

    def open_gate(self) -> None:
        """Now what has loaded may serve."""
        if self.gate >= 0:
            os.close(self.gate)
            self.gate = -1

    def start_stores(self) -> None:
        stores = list_stores(self.data_dir)
        if not stores:
            return
        self.take_servers()
        for store in stores:
            charge = Charge(store.name, launcher_of(store), store.parting, store.answers)
            self.stores.append(charge)
            charge.start()
        for charge, store in zip(self.stores, stores, strict=True):
            self.wait_for(store.answers, "does not answer", charge=charge)

    def take_servers(self) -> None:
        """A command that runs just now may have started them: it is waited for."""
        told = False
        while not self.stopping:
            lock = try_lock(owner_file(self.data_dir))
            if lock is not None:
                write_owner(lock, f"process {os.getpid()}")
                self.servers_lock = lock
                return
            if not told:
                told = True
                owner = read_owner(owner_file(self.data_dir))
                output.say(f"{owner} uses the servers of {self.data_dir}; waiting for its end")
            time.sleep(LOOK_SECONDS)

    def start_web(self, wanted: int) -> None:
        """On the wanted port, or aloud on another."""
        self.claim_port(wanted)
        if self.port != self.wanted_port:
            output.say(f"Port {self.wanted_port} is taken: using {self.port} instead.")
        web = self.charge_of(self.list_programs()[0])
        self.programs = [web]
        web.start()

    def start_programs(self) -> None:
        """The web server is what people wait for: the others start behind it."""
        while not self.stopping and not self.web_came_up(self.programs[0]):
            # Somebody took the port between our look at it and our use of it.
            self.stop_programs()
            self.start_web(self.port + 1)
        for program in self.list_programs()[1:]:
            if not self.stopping:
                charge = self.charge_of(program)
                charge.start()
                self.programs.append(charge)
        if not self.stopping:
            self.ready = True
            self.write_status()
            self.announce()

    def claim_port(self, wanted: int) -> None:
        if self.claim:
            self.claim.close()
        self.port, self.claim = probe.claim_port(self.host, wanted)

    def list_programs(self) -> list[program_list.Program]:
        return program_list.list_programs(host=self.host, port=self.port)

    def charge_of(self, program: program_list.Program) -> Charge:
        ready = self.data_dir / "locks" / f"ready-{program.name}"
        env = {
            **program_list.common_env(port=self.port, nonce=self.nonce),
            **program.env,
            READY_FILE: str(ready),
        }

        def launch(sink: int) -> "subprocess.Popen[bytes]":
            ready.unlink(missing_ok=True)
            return children.start(
                program.line,
                parting=signal.SIGKILL,  # what is killed with us is found again in its rows
                nice=program.nice,
                env=env,
                cwd=settings.BASE_DIR,
                output=sink,
            )

        return Charge(program.name, launch, signal.SIGTERM, ready.exists)

    def web_came_up(self, web: Charge) -> bool:
        """False when a stranger has the port."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.stopping:
            answering = probe.find_instance(self.host, self.port)
            if answering == self.nonce and web.is_alive():
                return True
            if answering is not None and answering != self.nonce and web.failures >= 2:
                return False
            if time.monotonic() > deadline:
                raise StartFailed("The web server does not answer; its words are above.")
            self.keep()
            time.sleep(LOOK_SECONDS)
        return True

    def wait_for(self, answers: Callable[[], bool], problem: str, *, charge: Charge) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self.stopping and not answers():
            if not charge.is_alive():
                raise StartFailed(f"{charge.name} ended while starting; its words are above.")
            if time.monotonic() > deadline:
                raise StartFailed(f"{charge.name} {problem}; its words are above.")
            time.sleep(LOOK_SECONDS / 2)

    def announce(self) -> None:
        output.say("Engage is ready.")
        output.say(f"  Admin      {self.url}/admin/")
        output.say(f"  API docs   {self.url}/docs/")
        output.say(f"  Data       {self.data_dir}")
        output.say("  Ctrl-C stops it.")

    @property
    def url(self) -> str:
        host = "localhost" if self.host in {"127.0.0.1", "0.0.0.0"} else self.host  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    # --- life -------------------------------------------------------------------------------

    def watch(self) -> None:
        while not self.stopping:
            self.keep()
            time.sleep(LOOK_SECONDS)

    def keep(self) -> None:
        now = time.monotonic()
        changed = [charge.keep(now) for charge in (*self.stores, *self.programs)]
        if any(changed):
            self.write_status()

    def write_status(self) -> None:
        """For `running()`, and for whoever tries to start here a second time."""
        alive = {
            charge.name: charge.process.pid
            for charge in (*self.stores, *self.programs)
            if charge.process is not None
        }
        facts = {
            "pid": os.getpid(),
            "ready": self.ready,
            "url": self.url if self.port else "",
            "instance": self.nonce,
            "children": alive,
        }
        # For readers only: a disk that is full must not end what still runs on it.
        with suppress(OSError):
            write_status(self.data_dir, facts)

    # --- stop -------------------------------------------------------------------------------

    def stop(self) -> None:
        self.stopping = True
        if self.ready:
            output.say("Stopping.")
        self.stop_programs()
        stop_all(self.stores, patience_seconds=STORES_STOP_SECONDS)
        forget_sockets(self.data_dir)
        self.open_gate()
        for lock in (self.servers_lock, self.lock):
            if lock >= 0:
                os.close(lock)

    def stop_programs(self) -> None:
        at_the_gate = self.gate >= 0  # they have served nobody yet and have nothing to finish
        patience = 0.0 if at_the_gate else PROGRAMS_STOP_SECONDS
        stop_all(self.programs, patience_seconds=patience)


def stop_all(charges: Sequence[Charge], *, patience_seconds: float) -> None:
    """All that run, asked in the way of each, waited for together."""
    alive = [(charge, charge.process) for charge in charges if charge.process is not None]
    for charge, process in alive:
        children.ask_to_end(process, charge.parting)
    children.wait_and_end([process for _, process in alive], patience_seconds=patience_seconds)


def launcher_of(store: Store) -> Callable[[int], "subprocess.Popen[bytes]"]:
    return lambda sink: store.start(output=sink, patience_seconds=FAMILY_SECONDS)


def lock_file(data_dir: Path) -> Path:
    return data_dir / "locks" / "up"


def ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
