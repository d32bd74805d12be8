"""The file of a queue: opened by one client, checked, and set aside when it is broken."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO


class QueueInUse(Exception):
    """Another client has this queue open."""


def opened(path: Path, *, tables: str) -> tuple[sqlite3.Connection, str]:
    """Open a queue and make what it lacks.

    A broken file is set aside as it was found, and a new one begun.

    Returns:
        The connection, and where a broken file lies now (empty without one).

    Raises:
        sqlite3.OperationalError: the disk did not let the file be read or written.
    """
    aside = ""
    try:
        db = _connected(path, tables)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):  # the disk, not what is on it
            raise
        aside = _set_aside(path)
        db = _connected(path, tables)
    _fsync_folder(path.parent)
    return db, aside


def _connected(path: Path, tables: str) -> sqlite3.Connection:
    """Open and check a queue.

    Raises:
        sqlite3.DatabaseError: the file is broken; a subclass when it could not be read or written.
    """
    db = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False, timeout=5)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # each commit waits for the disk
        db.execute("PRAGMA fullfsync = 1")  # on macOS a plain fsync stops at the drive's cache
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the check of the file failed")
        db.executescript(tables)
    except BaseException:
        db.close()
        raise
    return db


def _set_aside(path: Path) -> str:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    target = path.with_name(f"{path.name}.broken-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{target}{suffix}")
    return str(target)


def locked(path: Path) -> IO[bytes]:
    """Lock a file for as long as it is open; the system unlocks it when the process dies."""
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise QueueInUse(f"another client has {path} locked") from error
    return file


def _fsync_folder(folder: Path) -> None:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
