"""The queue on disk: one SQLite file, used by one process, one fsynced commit a call.

Readings are numbered in the order in which they came and leave in that order. Which of them
form a batch is written down before the batch is first sent, so what is sent again after a
crash, or because the answer was lost, is byte for byte what was sent before.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from takt_device import files
from takt_device.report import Dropped, Refused

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_N_REFUSED_KEPT = 1000
_TABLES = """
CREATE TABLE IF NOT EXISTS reading (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, ts_us INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS batch (one INTEGER PRIMARY KEY CHECK (one = 1), last_seq INTEGER);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS rejected (code TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refused (
    seq INTEGER PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (
    id INTEGER PRIMARY KEY, reason TEXT NOT NULL, n INTEGER NOT NULL,
    last_seq INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, text TEXT NOT NULL);
"""
_FORGET_REFUSED = """
DELETE FROM refused WHERE seq NOT IN (SELECT seq FROM refused ORDER BY seq DESC LIMIT ?)
"""


class NotQueued(Exception):
    """The readings could not be written to disk (its cause says why); none of them was taken."""


class QueueFull(NotQueued):
    """The queue has no room and was told to refuse rather than to drop its oldest readings."""


@dataclass(frozen=True)
class Batch:
    """Readings that are sent together, now and every time again."""

    id: str
    seqs: tuple[int, ...]
    bodies: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.seqs)


class Queue:
    def __init__(self, path: Path, *, max_readings: int, max_bytes: int, drops: bool) -> None:
        self._max_readings, self._max_bytes, self._drops = max_readings, max_bytes, drops
        self._mutex = threading.RLock()
        self._lock = files.locked(path.with_name(path.name + ".lock"))
        try:
            self._db, aside = files.opened(path, tables=_TABLES)
            with self._transaction() as db:
                if not self._note("id"):
                    self._remember("id", secrets.token_hex(8))
                if aside:
                    self._remember(f"aside {aside}", aside)
                found = db.execute("SELECT count(*), sum(length(body)) FROM reading").fetchone()
                self._n, self._bytes = int(found[0]), int(found[1] or 0)
        except BaseException:
            self._lock.close()
            raise

    @property
    def n_queued(self) -> int:
        return self._n

    def close(self) -> None:
        with self._mutex:
            self._db.close()
            self._lock.close()

    def append(self, readings: Sequence[tuple[int, str]]) -> None:
        """Take readings (time in microseconds, JSON), all or none; they are on disk afterwards.

        Raises:
            NotQueued: the disk did not take them.
            QueueFull: there is no room; nothing was dropped.
        """
        with self._mutex:
            n = self._n + len(readings)
            size = self._bytes + sum(len(body) for _, body in readings)
            is_full = n > self._max_readings or size > self._max_bytes
            if is_full and not self._drops:
                raise QueueFull(f"the queue holds {self._n} readings of {self._bytes} bytes")
            try:
                with self._transaction() as db:
                    db.executemany("INSERT INTO reading (ts_us, body) VALUES (?, ?)", readings)
                    _count(db, "tally", "accepted", len(readings))
                    if is_full:
                        n, size = self._drop_oldest(db, n, size)
            except sqlite3.Error as error:
                raise NotQueued(str(error)) from error
            self._n, self._bytes = n, size

    def batch(self, *, max_readings: int, max_bytes: int) -> Batch | None:
        """Return the batch under way, or make one of the oldest readings; None without any."""
        with self._transaction() as db:
            under_way = db.execute("SELECT last_seq FROM batch").fetchone()
            if under_way:
                rows = db.execute(
                    "SELECT seq, body FROM reading WHERE seq <= ? ORDER BY seq", under_way
                ).fetchall()
            else:
                rows = _oldest(db, max_readings, max_bytes)
                if not rows:
                    return None
                db.execute("INSERT INTO batch VALUES (1, ?)", [rows[-1][0]])
        seqs, bodies = zip(*rows)
        return Batch(f"{self._note('id')}-{seqs[0]}-{seqs[-1]}", seqs, bodies)

    def halve(self, batch: Batch) -> None:
        """Let the first half of a batch that was refused for its size be the batch."""
        with self._transaction() as db:
            db.execute("UPDATE batch SET last_seq = ?", [batch.seqs[(len(batch) - 1) // 2]])

    def settle(
        self,
        batch: Batch,
        *,
        stored: int,
        duplicates: int,
        rejected: Sequence[tuple[int, str, str]],
    ) -> None:
        """Let go of a batch that was answered; `rejected` are index, code and message."""
        refused = [(batch.seqs[i], code, text, batch.bodies[i]) for i, code, text in rejected]
        with self._mutex:
            with self._transaction() as db:
                db.execute("DELETE FROM reading WHERE seq <= ?", [batch.seqs[-1]])
                db.execute("DELETE FROM batch")
                _count(db, "tally", "stored", stored)
                _count(db, "tally", "duplicates", duplicates)
                for _, code, _, _ in refused:
                    _count(db, "rejected", code, 1)
                db.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", refused)
                db.execute(_FORGET_REFUSED, [_N_REFUSED_KEPT])
                self._remember("last_error", "")
            self._n -= len(batch)
            self._bytes -= sum(map(len, batch.bodies))

    def note_error(self, text: str) -> None:
        """Keep why the last attempt failed, where the disk allows."""
        if text != self._note("last_error"):
            with suppress(sqlite3.Error), self._transaction():
                self._remember("last_error", text)

    def facts(self) -> dict[str, Any]:
        """Return what a report says about the queue, all of one moment."""
        with self._transaction() as db:
            tally = dict(db.execute("SELECT name, n FROM tally"))
            rejected = dict(db.execute("SELECT code, n FROM rejected ORDER BY code"))
            stored, duplicates = tally.get("stored", 0), tally.get("duplicates", 0)
            oldest = db.execute("SELECT ts_us FROM reading ORDER BY seq LIMIT 1").fetchone()
            dropped = db.execute("SELECT reason, n, first_us, last_us FROM dropped ORDER BY id")
            aside = db.execute("SELECT text FROM note WHERE name LIKE 'aside %' ORDER BY name")
            return {
                "accepted": tally.get("accepted", 0),
                "queued": self._n,
                "sent": stored + duplicates + sum(rejected.values()),
                "stored": stored,
                "duplicates": duplicates,
                "rejected": rejected,
                "dropped": tuple(Dropped(r, n, _at(us0), _at(us1)) for r, n, us0, us1 in dropped),
                "set_aside": tuple(text for (text,) in aside),
                "oldest_queued_at": _at(oldest[0]) if oldest else None,
                "last_error": self._note("last_error"),
            }

    def refused(self) -> list[Refused]:
        with self._mutex:
            rows = self._db.execute(
                "SELECT code, message, body FROM refused ORDER BY seq"
            ).fetchall()
        return [Refused(*row) for row in rows]

    # -- inside --------------------------------------------------------------------------------

    def _drop_oldest(self, db: sqlite3.Connection, n: int, size: int) -> tuple[int, int]:
        """Drop what is over the bounds, never of the batch under way: the server may have that."""
        under_way = db.execute("SELECT coalesce(max(last_seq), 0) FROM batch").fetchone()[0]
        gone = []
        for row in db.execute(
            "SELECT seq, ts_us, length(body) FROM reading WHERE seq > ? ORDER BY seq", [under_way]
        ):
            if n <= self._max_readings and size <= self._max_bytes:
                break
            gone.append(row)
            n, size = n - 1, size - row[2]
        first_seq, last_seq = gone[0][0], gone[-1][0]
        db.execute("DELETE FROM reading WHERE seq BETWEEN ? AND ?", [first_seq, last_seq])
        times = [ts_us for _, ts_us, _ in gone]
        # One line for each stretch of the queue, however many calls it was dropped in.
        changed = db.execute(
            "UPDATE dropped SET n = n + ?, last_seq = ?, first_us = min(first_us, ?),"
            " last_us = max(last_us, ?) WHERE reason = 'queue_full' AND last_seq = ?",
            [len(gone), last_seq, min(times), max(times), first_seq - 1],
        )
        if not changed.rowcount:
            db.execute(
                "INSERT INTO dropped (reason, n, last_seq, first_us, last_us)"
                " VALUES ('queue_full', ?, ?, ?, ?)", [len(gone), last_seq, min(times), max(times)]
            )  # fmt: skip
        return n, size

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _note(self, name: str) -> str:
        with self._mutex:
            row = self._db.execute("SELECT text FROM note WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def _remember(self, name: str, text: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", [name, text])


def _oldest(db: sqlite3.Connection, max_readings: int, max_bytes: int) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = []
    size = 0
    for seq, body in db.execute(
        "SELECT seq, body FROM reading ORDER BY seq LIMIT ?", [max_readings]
    ):
        size += len(body)
        if rows and size > max_bytes:
            break
        rows.append((seq, body))
    return rows


def _count(db: sqlite3.Connection, table: str, name: str, n: int) -> None:
    column = "code" if table == "rejected" else "name"
    db.execute(
        f"INSERT INTO {table} VALUES (?, ?) ON CONFLICT ({column}) DO UPDATE SET n = n + ?",  # noqa: S608
        [name, n, n],
    )


def _at(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
