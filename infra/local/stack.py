"""Start the parts in order, keep them alive, stop them in reverse.

    with Stack(var=Path("var")) as stack:
        subprocess.run([...], env={**os.environ, **stack.env})

All data services are spawned at once and waited for afterwards; then the database is set up
(`manage.py setup`); then web, worker and beat are spawned at once.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local import processes
from infra.local.failures import ServiceFailed
from infra.local.home import Home, token
from infra.local.postgres import Postgres
from infra.local.replacements import Replacement, replaced_environment, replacements
from infra.local.service import Service, Unhealthy
from infra.local.valkey import Valkey
from infra.local.watchdog import Watchdog

_KINDS: dict[str, type[Service]] = {kind.name: kind for kind in (Postgres, Valkey)}
SERVICES = tuple(_KINDS)
_HEALTH_POLL_S = 0.05


class Stack:
    """The parts of one installation, as children of this process."""

    def __init__(
        self,
        *,
        var: Path,
        services: Sequence[str] | None = None,
        log: Callable[[str], None] = print,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Choose what to start; nothing happens before `start`.

        Args:
            var: where everything is kept; made if missing.
            services: names of `SERVICES`; None for all.
            log: told about every change of state, one line each.
            environ: where the replacing variables are read; the process's own by default.
        """
        wanted = SERVICES if services is None else tuple(services)
        if unknown := set(wanted) - set(SERVICES):
            raise ValueError(f"unknown services: {', '.join(sorted(unknown))}")
        self.env: dict[str, str] = {}
        self._home = Home(var)
        self._wanted = [name for name in SERVICES if name in wanted]
        self._log = log
        self._environ = os.environ if environ is None else environ
        self._guard = threading.RLock()
        self._run = ""
        self._watchdog: Watchdog | None = None
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
        replaced = replacements(self._environ)
        with self._guard:
            lock = self._home.lock()
            try:
                self._open(lock, replaced)
                self._start_services(self._wanted)
            except BaseException:
                self.stop()
                raise
        return dict(self.env)

    def stop(self) -> None:
        """Stop everything in reverse order; nothing is left behind, nothing happens twice."""
        with self._guard:
            if not self._run:
                self._home.unlock()
                return
            for name in reversed(list(self._children)):
                self._end(name)
                self._log(f"{name} stopped")
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
            self._end(service)
            self._spawn(service)
        self.wait_healthy(service, self._services[service].start_timeout_s)

    def pid(self, service: str) -> int | None:
        """Process number of a part; None when it is replaced, stopped or dead."""
        child = self._children.get(service)
        return None if child is None or processes.has_ended(child) else child.pid

    def wait_healthy(self, service: str, timeout_s: float) -> None:
        """Wait until a part does its work.

        Raises:
            ServiceFailed: it ended, or did not answer in time.
        """
        part, child = self._services[service], self._children[service]
        deadline = time.monotonic() + timeout_s
        while True:
            ended = processes.has_ended(child)
            try:
                part.check(self.env)
            except (Unhealthy, OSError) as error:
                answer = str(error) or type(error).__name__
            else:
                if not ended:
                    return
                # Somebody else answers at its address.
                answer = "its address is taken"
            if ended:
                raise self._failed(service, f"ended at its start ({answer})")
            if time.monotonic() > deadline:
                raise self._failed(service, f"did not answer within {timeout_s:g} s ({answer})")
            time.sleep(_HEALTH_POLL_S)

    # -- inside ----------------------------------------------------------------------------------
    @property
    def _mark(self) -> str:
        return f"{self._home.var}:{self._run}"

    def _open(self, lock: int, replaced: Mapping[str, Replacement]) -> None:
        self._run = token(8)
        own = [name for name in self._wanted if name not in replaced]
        self._services = {name: _KINDS[name](self._home) for name in own}
        if n_stale := processes.end_all(mark=f"{self._home.var}:", directories=self._directories()):
            self._log(f"ended {n_stale} processes left by an earlier run")
        self._watchdog = Watchdog(mark=self._mark, directories=self._directories(), lock_fd=lock)
        self._home.note_running({})
        self.env = replaced_environment(self._environ, replaced)
        for name in self._wanted:
            if name in replaced:
                replaced[name].check()
                self._log(f"{name} replaced by {replaced[name].variable}")

    def _start_services(self, names: Sequence[str]) -> None:
        for name in names:
            if name in self._services:
                self.env |= self._services[name].environment()
        started = time.monotonic()
        own = [name for name in names if name in self._services]
        for name in own:
            self._home.rotate_log(name)
            self._spawn(name)
        for name in own:
            self.wait_healthy(name, self._services[name].start_timeout_s)
            self._services[name].complete(self.env)
            self._log(f"{name} ready after {time.monotonic() - started:.1f} s")
        self._home.remember_environment(self.env)

    def _spawn(self, name: str) -> None:
        part = self._services[name]
        part.prepare()
        self._children[name] = processes.spawn(
            part.command(self.env),
            env=self._child_environment(),
            log_file=self._home.log_file(name),
        )
        self._home.note_running({each: child.pid for each, child in self._children.items()})

    def _end(self, name: str) -> None:
        part, child = self._services[name], self._children.pop(name)
        processes.end(child, stop_signal=part.stop_signal, timeout_s=part.stop_timeout_s)
        if part.directories():
            processes.end_all(mark=None, directories=part.directories(), grace_s=0.5)

    def _child_environment(self) -> dict[str, str]:
        # PGHOST and its like would redirect our own connections; the rest is the user's.
        inherited = {k: v for k, v in self._environ.items() if not k.startswith("PG")}
        return {**inherited, **self.env, processes.MARK: self._mark}

    def _directories(self) -> list[Path]:
        return [folder for part in self._services.values() for folder in part.directories()]

    def _failed(self, service: str, reason: str) -> ServiceFailed:
        where = f"{reason}; log: {self._home.log_file(service)}"
        return ServiceFailed(service, where, self._home.log_tail(service))
