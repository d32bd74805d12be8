"""State in one SQLite file: objects as JSON by kind, and the tables that need an index.

Everything a request changes is one transaction; requests are served one at a time, which is what
makes the stand-in easy to reason about.
"""

import json
import secrets
import sqlite3
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
  customer TEXT, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, customer, seq);
CREATE TABLE IF NOT EXISTS meter_event (
  identifier TEXT PRIMARY KEY, event_name TEXT NOT NULL, customer TEXT NOT NULL,
  at INTEGER NOT NULL, value INTEGER NOT NULL, created INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS meter_event_sum ON meter_event (event_name, customer, at);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, url TEXT NOT NULL,
  secret TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending');
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (state, due);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, *, length: int = 24) -> str:
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Store:
    """Objects by kind, kept in `folder`/stripe.sqlite3."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            folder / "stripe.sqlite3", check_same_thread=False, isolation_level=None
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        # Survives a killed process; only a crash of the machine may cost the last moments.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def insert(self, kind: str, body: Object) -> Object:
        self.run(
            "INSERT INTO object (kind, id, customer, body) VALUES (?, ?, ?, ?)",
            kind, body["id"], body.get("customer"), json.dumps(body),
        )  # fmt: skip
        return body

    def save(self, body: Object) -> Object:
        self.run(
            "UPDATE object SET customer = ?, body = ? WHERE id = ?",
            body.get("customer"), json.dumps(body), body["id"],
        )  # fmt: skip
        return body

    def delete(self, object_id: str) -> None:
        self.run("DELETE FROM object WHERE id = ?", object_id)

    def find(self, kind: str, object_id: str) -> Object | None:
        rows = self.run("SELECT body FROM object WHERE id = ? AND kind = ?", object_id, kind)
        return json.loads(rows[0][0]) if rows else None

    def lookup(self, object_id: str) -> Object | None:
        """Return an object of any kind."""
        rows = self.run("SELECT body FROM object WHERE id = ?", object_id)
        return json.loads(rows[0][0]) if rows else None

    def all(self, kind: str, *, customer: str | None = None) -> list[Object]:
        """Return the objects of a kind, newest first."""
        if customer is None:
            rows = self.run("SELECT body FROM object WHERE kind = ? ORDER BY seq DESC", kind)
        else:
            rows = self.run(
                "SELECT body FROM object WHERE kind = ? AND customer = ? ORDER BY seq DESC",
                kind, customer,
            )  # fmt: skip
        return [json.loads(row[0]) for row in rows]

    def setting(self, name: str, default: str = "") -> str:
        rows = self.run("SELECT value FROM setting WHERE name = ?", name)
        return rows[0][0] if rows else default

    def set(self, name: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, value)

    def close(self) -> None:
        with self._lock:
            self._db.close()
