"""The account of a folder: which pictures were answered for, and how."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from takt_device import files

_TABLES = """
CREATE TABLE IF NOT EXISTS picture (
    name BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    outcome TEXT NOT NULL, reason TEXT NOT NULL, at_s INTEGER NOT NULL,
    PRIMARY KEY (name, size, mtime_ns)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (outcome TEXT PRIMARY KEY, n INTEGER NOT NULL);
"""
SENT, REFUSED = "sent", "refused"


class Seen(NamedTuple):
    """A file as it was found: when it changes, it is another picture."""

    name: str
    size: int
    mtime_ns: int

    @property
    def key(self) -> tuple[bytes, int, int]:
        # Names are bytes to the system; not all of them are text.
        return os.fsencode(self.name), self.size, self.mtime_ns


class Outcome(NamedTuple):
    """What the server said of a picture; `reason` only where it refused."""

    what: str
    reason: str = ""


class Ledger:
    """One SQLite file, used by one process, one fsynced commit a picture.

    Raises:
        QueueInUse: another process keeps this account.
    """

    def __init__(self, path: Path) -> None:
        self._lock = files.locked(path.with_name(path.name + ".lock"))
        try:
            self._db, self.set_aside = files.opened(path, tables=_TABLES)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    def outcome(self, seen: Seen) -> Outcome | None:
        """Return what was said of a picture, None when nothing was."""
        row = self._db.execute(
            "SELECT outcome, reason FROM picture WHERE name = ? AND size = ? AND mtime_ns = ?",
            seen.key,
        ).fetchone()
        return Outcome(*row) if row else None

    def note(self, seen: Seen, outcome: Outcome) -> None:
        """Write down what was said of a picture; it is on disk when this returns."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(
                "INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?, ?, ?)",
                [*seen.key, outcome.what, outcome.reason, int(time.time())],
            )
            self._db.execute(
                "INSERT INTO tally VALUES (?, 1) ON CONFLICT (outcome) DO UPDATE SET n = n + 1",
                [outcome.what],
            )
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def counts(self) -> dict[str, int]:
        """Return how many pictures were sent and refused since the account was begun."""
        found = dict(self._db.execute("SELECT outcome, n FROM tally"))
        return {SENT: found.get(SENT, 0), REFUSED: found.get(REFUSED, 0)}

    def forget_absent(self, folder: Path) -> None:
        """Let go of pictures that lie no longer in the folder, so that the account stays small."""
        gone = [
            (name,)
            for (name,) in self._db.execute("SELECT DISTINCT name FROM picture")
            if not os.path.lexists(folder / os.fsdecode(name))
        ]
        self._db.executemany("DELETE FROM picture WHERE name = ?", gone)
