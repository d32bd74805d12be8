"""Start child processes so that they can be found and ended again, whatever happens to us.

Every child carries a mark in its environment (`MARK=<var>:<run>`), which its own children
inherit, and leads a process group of its own. PostgreSQL's backends leave the group and
overwrite their environment; they are known by their working directory, the data directory.
Both are read from /proc (Linux).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARK = "TAKT_LOCAL_RUN"
_POLL_S = 0.02
_KILL_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Command:
    """One program to run: arguments, what its environment adds, where and as whom."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path("/")
    uid: int | None = None
    gid: int | None = None


def spawn(command: Command, *, env: Mapping[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    """Start the command at the head of its own session, writing to the end of `log_file`."""
    with log_file.open("ab") as log:
        return subprocess.Popen(
            list(command.argv),
            env={**env, **command.env},
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=command.uid,
            group=command.gid,
            extra_groups=None if command.uid is None else [],
        )


def lives(pid: int) -> bool:
    """Say whether there is such a process, apart from one that only waits to be buried."""
    return _status(pid)[0] not in ("", "Z")


def _status(pid: int) -> tuple[str, int]:
    """State and parent of a process; ("", 0) if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    return fields[0], int(fields[1])


def find(*, mark: str | None, directories: Iterable[Path] = ()) -> set[int]:
    """List the processes whose mark starts with `mark`, and PostgreSQL's in `directories`."""
    wanted = None if mark is None else f"{MARK}={mark}".encode()
    folders = {str(directory) for directory in directories}
    own = os.getpid()
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != own and _matches(entry, wanted, folders):
            found.add(int(entry.name))
    return found


def _matches(entry: os.DirEntry[str], wanted: bytes | None, folders: set[str]) -> bool:
    # A process may end, or belong to somebody else, between any two of these lines.
    if wanted is not None:
        with contextlib.suppress(OSError):
            environment = Path(entry.path, "environ").read_bytes()
            if any(item.startswith(wanted) for item in environment.split(b"\0")):
                return True
    with contextlib.suppress(OSError):
        # Not the shell of somebody who looks around in there.
        return os.readlink(f"{entry.path}/cwd") in folders and Path(
            os.readlink(f"{entry.path}/exe")
        ).name.startswith("postgres")
    return False


def end_all(*, mark: str | None, directories: Sequence[Path] = (), grace_s: float = 8.0) -> int:
    """End every process that `find` knows, politely first, and return how many there were."""
    started = find(mark=mark, directories=directories)
    in_database = find(mark=None, directories=directories)
    # Each head sees to its own children; PostgreSQL's would take a signal of ours amiss.
    for pid in (each for each in started if _status(each)[1] not in started):
        # To the head of PostgreSQL SIGTERM means "when the last client has left", SIGINT "now".
        _signal(pid, signal.SIGINT if pid in in_database else signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while left := find(mark=mark, directories=directories):
        over_s = time.monotonic() - deadline
        if over_s > _KILL_TIMEOUT_S:
            break  # stuck in the kernel, on a disk that does not answer
        if over_s > 0:
            for pid in left:
                _signal(pid, signal.SIGKILL)
        time.sleep(_POLL_S * 5)
    return len(started)


def has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Say whether a child has ended, without burying it.

    As long as it is not buried (`end` does it) nobody else can get its number, which is also that
    of its process group.
    """
    if child.returncode is not None:
        return True
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def ask(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a child a signal unless it has ended."""
    if not has_ended(child):
        _signal(child.pid, number)


def end(child: subprocess.Popen[bytes], *, timeout_s: float) -> None:
    """Wait for a child that was asked to stop, then kill what is left of its process group."""
    if child.returncode is not None:
        return
    deadline = time.monotonic() + timeout_s
    while not has_ended(child) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
