"""Start the parts in order, keep them alive, stop them in reverse.

    with Stack(var=Path("var")) as stack:
        subprocess.run([...], env={**os.environ, **stack.env})

All data services are spawned at once and waited for afterwards; then the database is set up
(`manage.py setup`); then web, worker, beat and alarms are spawned at once.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from infra.local import processes
from infra.local.application import Alarms, Beat, Web, Worker
from infra.local.certificates import Certificates
from infra.local.environment import basics
from infra.local.failures import ServiceFailed
from infra.local.home import Home, token
from infra.local.objects import Objects
from infra.local.payments import Payments
from infra.local.ports import NoFreePort
from infra.local.postgres import Postgres
from infra.local.replacements import Replacement, replaced_environment, replacements
from infra.local.service import REPOSITORY, Service, Unhealthy
from infra.local.supervisor import Supervisor
from infra.local.valkey import Valkey
from infra.local.watchdog import Watchdog

_KINDS: dict[str, type[Service]] = {
    kind.name: kind for kind in (Postgres, Valkey, Objects, Payments, Web, Worker, Beat, Alarms)
}
SERVICES = tuple(_KINDS)
# Need the data services and the migrated database.
_UPPER = ("web", "worker", "beat", "alarms")
_HEALTH_POLL_S = 0.05
_SETUP_TIMEOUT_S = 600


class Stack:
    """The parts of one installation, as children of this process."""

    def __init__(
        self,
        *,
        var: Path,
        services: Sequence[str] | None = None,
        log: Callable[[str], None] = print,
        environ: Mapping[str, str] | None = None,
        supervise: bool = False,
        setup: bool = True,
    ) -> None:
        """Choose what to start; nothing happens before `start`.

        Args:
            var: where everything is kept; made if missing.
            services: names of `SERVICES`; None for all.
            log: told about every change of state, one line each; also from another thread.
            environ: where the replacing variables are read; the process's own by default.
            supervise: restart parts that die, until `stop`.
            setup: run `manage.py setup` before the web server starts.
        """
        wanted = SERVICES if services is None else tuple(services)
        if unknown := set(wanted) - set(SERVICES):
            raise ValueError(f"unknown services: {', '.join(sorted(unknown))}")
        self.env: dict[str, str] = {}
        self._home = Home(var)
        self._wanted = [name for name in SERVICES if name in wanted]
        self._log = log
        self._environ = os.environ if environ is None else environ
        self._setup = setup
        self._guard = threading.RLock()
        self._run = ""
        self._replaced: dict[str, Replacement] = {}
        self._watchdog: Watchdog | None = None
        self._supervisor = Supervisor(self._revive, log=log) if supervise else None
        self._services: dict[str, Service] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    # -- life ------------------------------------------------------------------------------------
    def start(self) -> dict[str, str]:
        """Start everything and return the environment by which it is found.

        Raises:
            Malformed: an environment variable cannot be used.
            AlreadyRunning: another process has started the parts of this folder.
            ServiceFailed: a part did not start; those already started are stopped again.
        """
        self._replaced = replacements(self._environ)
        with self._guard:
            lock = self._home.lock()
            try:
                self._open(lock)
                self._start_services(self._wanted)
            except BaseException:
                self.stop()
                raise
        if self._supervisor is not None:
            self._supervisor.start()
        return dict(self.env)

    def stop(self) -> None:
        """Stop everything in reverse order; nothing is left behind, nothing happens twice."""
        if self._supervisor is not None:
            self._supervisor.stop()
        with self._guard:
            if self._run:
                self._end([name for name in reversed(self._children) if name in _UPPER])
                self._end(list(reversed(self._children)))
                processes.end_all(mark=self._mark, directories=self._directories(), grace_s=1.0)
            if self._watchdog is not None:
                self._watchdog.dismiss()
                self._watchdog = None
            self._services.clear()
            self._run = ""
            self._home.unlock()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- one part --------------------------------------------------------------------------------
    def add(self, *services: str) -> dict[str, str]:
        """Start further parts beside the running ones and return the whole environment."""
        with self._guard:
            self._start_services([name for name in services if name not in self._children])
        return dict(self.env)

    def restart(self, service: str) -> None:
        """Stop one part and start it again at the same address; returns when it answers."""
        with self._guard:
            self._end([service])
            self._spawn(service)
            self.wait_healthy(service, self._services[service].start_timeout_s)

    def pid(self, service: str) -> int | None:
        """Process number of a part; None when it is replaced, stopped or dead."""
        child = self._children.get(service)
        return None if child is None or processes.has_ended(child) else child.pid

    def wait_healthy(self, service: str, timeout_s: float) -> None:
        """Wait until a part does its work.

        Raises:
            ServiceFailed: it did not answer in time, or ended and nobody restarts it.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            # Anew each time: the supervisor may have started another one.
            part, child = self._services[service], self._children[service]
            ended = processes.has_ended(child)
            try:
                part.check(self.env)
            except (Unhealthy, OSError) as error:
                answer = str(error) or type(error).__name__
            else:
                if not ended:
                    return
                answer = "somebody else answers at its address"
            if ended and not self._is_supervised():
                raise self._failed(service, f"ended at its start ({answer})")
            if time.monotonic() > deadline:
                raise self._failed(service, f"did not answer within {timeout_s:g} s ({answer})")
            time.sleep(_HEALTH_POLL_S)

    # -- inside: start ---------------------------------------------------------------------------
    @property
    def _mark(self) -> str:
        return f"{self._home.var}:{self._run}"

    def _open(self, lock: int) -> None:
        self._run = token(8)
        self._services = {name: kind(self._home) for name, kind in _KINDS.items()}
        folders = self._directories()
        if n_stale := processes.end_all(mark=f"{self._home.var}:", directories=folders):
            self._log(f"ended {n_stale} processes left by an earlier run")
        self._watchdog = Watchdog(mark=self._mark, directories=folders, lock_fd=lock)
        self._home.note_running({})
        try:
            self.env = basics(home=self._home, environ=self._environ, services=self._wanted)
        except NoFreePort as error:
            raise ServiceFailed("web", str(error)) from error
        self.env |= replaced_environment(self._environ, self._replaced)

    def _start_services(self, names: Sequence[str]) -> None:
        own = []
        for name in names:
            if name in self._replaced:
                self._replaced[name].check()
                self._log(f"{name} replaced by {self._replaced[name].variable}")
            else:
                own.append(name)
                self.env |= self._services[name].environment()
        if {"stripe", "web"} & set(own):
            Certificates(self._home.var).ensure(now=dt.datetime.now(dt.UTC))
        self._home.remember_environment(self.env)
        self._start_together([name for name in own if name not in _UPPER])
        if "web" in own and self._setup:
            self._set_up()
        self._start_together([name for name in own if name in _UPPER])

    def _start_together(self, names: Sequence[str]) -> None:
        started = time.monotonic()
        for name in reversed(names):  # PostgreSQL last: its first start blocks for a second
            self._home.rotate_log(name)
            self._spawn(name)
        for name in names:
            part = self._services[name]
            self.wait_healthy(name, part.start_timeout_s)
            try:
                part.complete(self.env)
            except psycopg.Error as error:
                raise self._failed(name, f"cannot be prepared ({error})") from error
            self._log(f"{name} ready after {time.monotonic() - started:.1f} s")

    def _spawn(self, name: str) -> None:
        part = self._services[name]
        try:
            part.prepare()
            self._children[name] = processes.spawn(
                part.command(self.env),
                env=self._child_environment(),
                log_file=self._home.log_file(name),
            )
        except (OSError, NoFreePort) as error:
            raise self._failed(name, f"could not be started ({error})") from error
        self._home.note_running({each: child.pid for each, child in self._children.items()})

    def _set_up(self) -> None:
        """Migrate everything and make the bucket, as a child like the others."""
        started = time.monotonic()
        self._home.rotate_log("setup")
        command = processes.Command([sys.executable, "manage.py", "setup"], cwd=REPOSITORY)
        log_file = self._home.log_file("setup")
        child = processes.spawn(command, env=self._child_environment(), log_file=log_file)
        try:
            code = child.wait(_SETUP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise self._failed("setup", f"took longer than {_SETUP_TIMEOUT_S} s") from error
        if code != 0:
            raise self._failed("setup", f"`manage.py setup` ended with {code}")
        self._log(f"database set up after {time.monotonic() - started:.1f} s")

    def _child_environment(self) -> dict[str, str]:
        # PGHOST and its like would redirect our own connections; the rest is the user's.
        inherited = {k: v for k, v in self._environ.items() if not k.startswith("PG")}
        return {**inherited, **self.env, processes.MARK: self._mark}

    # -- inside: end -----------------------------------------------------------------------------
    def _end(self, names: Sequence[str]) -> None:
        """Ask them all to stop, then wait for one after the other."""
        for name in names:
            processes.ask(self._children[name], self._services[name].stop_signal)
        for name in names:
            part = self._services[name]
            processes.end(self._children.pop(name), timeout_s=part.stop_timeout_s)
            if folders := part.directories():
                processes.end_all(mark=None, directories=folders, grace_s=0.5)
            self._log(f"{name} stopped")

    def _revive(self) -> None:
        """Start again what has died; called by the supervisor a few times a second."""
        with self._guard:
            for name, child in list(self._children.items()):
                if processes.has_ended(child):
                    self._revive_one(name, child)
            web = self._services.get("web")
            if isinstance(web, Web) and "web" in self._children and web.renew():
                processes.ask(self._children["web"], Web.reload_signal)
                self._log("web reloads its certificate")

    def _revive_one(self, name: str, child: subprocess.Popen[bytes]) -> None:
        assert self._supervisor is not None
        if not self._supervisor.may_restart(name, now=time.monotonic()):
            return
        processes.end(child, timeout_s=0)
        if folders := self._services[name].directories():
            processes.end_all(mark=None, directories=folders, grace_s=0.5)
        try:
            self._spawn(name)
        except ServiceFailed as error:
            self._log(f"{name} ended and could not be started again: {error.reason}")
        else:
            self._log(f"{name} ended (exit {child.returncode}) and was started again")

    def _is_supervised(self) -> bool:
        return self._supervisor is not None and self._supervisor.is_running

    def _directories(self) -> list[Path]:
        return [folder for part in self._services.values() for folder in part.directories()]

    def _failed(self, service: str, reason: str) -> ServiceFailed:
        where = f"{reason}; log: {self._home.log_file(service)}"
        return ServiceFailed(service, where, self._home.log_tail(service))
