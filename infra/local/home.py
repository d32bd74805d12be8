"""What is kept between two starts: secrets, ports, places (`var/env.json`) and the lock."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.local import processes
from infra.local.failures import AlreadyRunning
from infra.local.ports import Reservations, is_free

_LOGS_KEPT = 3
# As long as a watchdog may need to end what a killed starter left.
_WAIT_FOR_WATCHDOG_S = 15.0


class Home:
    """The folder of one installation (`TAKT_VAR`)."""

    def __init__(self, var: Path) -> None:
        self.var = var.resolve()
        self._file = self.var / "env.json"
        self._running = self.var / "run.json"
        self._reservations = Reservations()
        self._ports_now: dict[str, int] = {}
        self._lock: int | None = None
        self._data: dict[str, Any] = {}

    # -- the lock --------------------------------------------------------------------------------
    def lock(self) -> int:
        """Claim the folder for this process, make it and read what it remembers.

        Raises:
            AlreadyRunning: a living process holds it.
        """
        self.var.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.var / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _WAIT_FOR_WATCHDOG_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = self.holder()
                if holder is not None or time.monotonic() > deadline:
                    os.close(fd)
                    raise AlreadyRunning(str(self.var), holder) from None
                time.sleep(0.1)
        self._lock = fd
        self._data = self._read(self._file)
        (self.var / "log").mkdir(exist_ok=True)
        return fd

    def unlock(self) -> None:
        """Let others start here again."""
        self._reservations.release()
        self._ports_now.clear()
        if self._lock is not None:
            with contextlib.suppress(FileNotFoundError):
                self._running.unlink()
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Say whether some process (perhaps this one) holds the folder."""
        try:
            fd = os.open(self.var / "lock", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            os.close(fd)

    def holder(self) -> int | None:
        """The living process that started the parts, as it wrote itself down."""
        pid = self._read(self._running).get("pid")
        return pid if isinstance(pid, int) and processes.lives(pid) else None

    def note_running(self, pids: dict[str, int]) -> None:
        """Write down who runs what, for `status` and `down`."""
        self._write(self._running, {"pid": os.getpid(), "services": pids})

    def running(self) -> dict[str, int]:
        """Process number of each part, as last written down."""
        return dict(self._read(self._running).get("services", {}))

    # -- what is remembered ----------------------------------------------------------------------
    def secret(self, name: str, make: Callable[[], str] = lambda: token()) -> str:
        """The secret of this name, made at its first use."""
        kept: dict[str, str] = self._data.setdefault("secrets", {})
        if name not in kept:
            kept[name] = make()
            self._save()
        return kept[name]

    def port(self, name: str, preferred: int, *, offsets: tuple[int, ...] = (0,)) -> int:
        """A port for the part of this name: the one of last time if it is free."""
        if name not in self._ports_now:
            kept: dict[str, int] = self._data.setdefault("ports", {})
            wish = kept.get(name, preferred)
            if not all(is_free(wish + offset) for offset in offsets):
                wish = preferred
            self._ports_now[name] = self._reservations.reserve(wish, offsets=offsets)
            kept[name] = self._ports_now[name]
            self._save()
        return self._ports_now[name]

    def exact_port(self, name: str, port: int) -> int:
        """The port that the person asked for; raises `NoFreePort` if it is taken."""
        if name not in self._ports_now:
            self._ports_now[name] = self._reservations.reserve_exactly(port)
        return self._ports_now[name]

    def place(self, name: str, choose: Callable[[], Path]) -> Path:
        """The folder chosen for this purpose at its first use."""
        kept: dict[str, str] = self._data.setdefault("places", {})
        if name not in kept:
            kept[name] = str(choose())
            self._save()
        return Path(kept[name])

    def remember_environment(self, env: dict[str, str]) -> None:
        """Keep the addresses for `python -m infra.local env`."""
        self._data["environment"] = env
        self._save()

    def environment(self) -> dict[str, str]:
        """The addresses of the last start."""
        return dict(self._read(self._file).get("environment", {}))

    # -- logs ------------------------------------------------------------------------------------
    def log_file(self, service: str) -> Path:
        """Where a part writes."""
        return self.var / "log" / f"{service}.log"

    def rotate_log(self, service: str) -> None:
        """Begin a new log file, keeping the last few."""
        for n in range(_LOGS_KEPT, 0, -1):
            newer = self.log_file(service if n == 1 else f"{service}.{n - 1}")
            if newer.exists():
                newer.replace(self.log_file(f"{service}.{n}"))

    def log_tail(self, service: str, n_lines: int = 15) -> str:
        """The last lines that a part wrote."""
        with contextlib.suppress(FileNotFoundError), self.log_file(service).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 8192))
            lines = file.read().decode(errors="replace").splitlines()
            return "\n".join(lines[-n_lines:])
        return ""

    def _save(self) -> None:
        self._write(self._file, self._data)

    def _write(self, path: Path, data: dict[str, Any]) -> None:
        # Never a moment in which others may read it, or in which half of it is there.
        draft = path.with_suffix(".new")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump(data, file, indent=1)
        draft.replace(path)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            data = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return data if isinstance(data, dict) else {}


def token(n_bytes: int = 24) -> str:
    """A random secret without characters that an address or a shell would have to quote."""
    return base64.b32encode(secrets.token_bytes(n_bytes)).decode().rstrip("=").lower()
