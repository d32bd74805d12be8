"""State in one SQLite file: objects as JSON by kind, and the tables that need an index.

Everything a request changes is one transaction; requests are served one at a time, which is what
makes the stand-in easy to reason about.
"""

import json
import secrets
import sqlite3
import string
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Object = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, id TEXT NOT NULL UNIQUE,
  customer TEXT, body TEXT NOT NULL, clock TEXT NOT NULL DEFAULT '', due INTEGER);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, customer, seq);
CREATE INDEX IF NOT EXISTS object_seq ON object (kind, seq);
CREATE INDEX IF NOT EXISTS object_due ON object (clock, due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS meter_event (
  identifier TEXT PRIMARY KEY, event_name TEXT NOT NULL, customer TEXT NOT NULL,
  at INTEGER NOT NULL, value INTEGER NOT NULL, created INTEGER NOT NULL,
  visible REAL NOT NULL DEFAULT 0, canceled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS meter_event_sum ON meter_event (event_name, customer, at);
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
  created INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, url TEXT NOT NULL,
  secret TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending');
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (state, due);
CREATE TABLE IF NOT EXISTS meter_error (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, meter TEXT NOT NULL, code TEXT NOT NULL,
  message TEXT NOT NULL, request TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str, *, length: int = 24) -> str:
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Store:
    """Objects by kind, kept in `folder`/stripe.sqlite3.

    `due_of` says when an object next needs attention by itself; that moment is indexed.
    """

    def __init__(self, folder: Path, *, due_of: Callable[[Object], int | None]) -> None:
        self._due_of = due_of
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            folder / "stripe.sqlite3", check_same_thread=False, isolation_level=None
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        # Survives a killed process; only a crash of the machine may cost the last moments.
        self._db.execute("PRAGMA synchronous=NORMAL")
        outdated = self._add_columns()
        self._db.executescript(_SCHEMA)
        if outdated:
            for kind in ("subscription", "invoice", "customer", "checkout.session"):
                for body in self.all(kind):
                    self.save(body)

    def _add_columns(self) -> bool:
        """Give a state of an earlier release the columns that it lacks; say whether it did."""
        known = {row[1] for row in self._db.execute("PRAGMA table_info(object)")}
        if not known or "due" in known:
            return False
        self._db.execute("ALTER TABLE object ADD COLUMN clock TEXT NOT NULL DEFAULT ''")
        self._db.execute("ALTER TABLE object ADD COLUMN due INTEGER")
        for column in ("visible REAL", "canceled INTEGER"):
            self._db.execute(f"ALTER TABLE meter_event ADD COLUMN {column} NOT NULL DEFAULT 0")
        return True

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

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Do something inside a transaction and take it back at the end."""
        self.run("SAVEPOINT undone")
        try:
            yield
        finally:
            self.run("ROLLBACK TO undone")
            self.run("RELEASE undone")

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def insert(self, kind: str, body: Object) -> Object:
        self.run(
            "INSERT INTO object (kind, id, customer, body, clock, due) VALUES (?, ?, ?, ?, ?, ?)",
            kind, body["id"], body.get("customer"), json.dumps(body),
            body.get("test_clock") or "", self._due_of(body),
        )  # fmt: skip
        return body

    def save(self, body: Object) -> Object:
        self.run(
            "UPDATE object SET customer = ?, body = ?, clock = ?, due = ? WHERE id = ?",
            body.get("customer"), json.dumps(body), body.get("test_clock") or "",
            self._due_of(body), body["id"],
        )  # fmt: skip
        return body

    def due(self, clock: str | None, *, until: int) -> tuple[int, Object] | None:
        """Return what falls due first up to a moment; invoices go before subscriptions."""
        rows = self.run(
            "SELECT due, body FROM object WHERE clock = ? AND due <= ? "
            "ORDER BY due, kind = 'subscription', seq LIMIT 1",
            clock or "", until,
        )  # fmt: skip
        return (int(rows[0][0]), json.loads(rows[0][1])) if rows else None

    def on_clock(self, clock: str) -> list[Object]:
        """Return everything that lives by a test clock."""
        rows = self.run("SELECT body FROM object WHERE clock = ? ORDER BY seq", clock)
        return [json.loads(row[0]) for row in rows]

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

    def scan(
        self,
        kind: str,
        *,
        customer: str | None = None,
        beyond: str | None = None,
        newest_first: bool = True,
    ) -> Iterator[Object]:
        """Yield the objects of a kind one by one, beginning after the one with id `beyond`."""
        where, values = "kind = ?", [kind]
        if customer is not None:
            where, values = where + " AND customer = ?", [*values, customer]
        if beyond is not None:
            sign = "<" if newest_first else ">"
            where += f" AND seq {sign} (SELECT seq FROM object WHERE id = ?)"  # noqa: S608
            values.append(beyond)
        order = "DESC" if newest_first else "ASC"
        statement = f"SELECT body FROM object WHERE {where} ORDER BY seq {order}"  # noqa: S608
        for row in self._db.execute(statement, values):
            yield json.loads(row[0])

    def setting(self, name: str, default: str = "") -> str:
        rows = self.run("SELECT value FROM setting WHERE name = ?", name)
        return rows[0][0] if rows else default

    def set(self, name: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", name, value)

    def close(self) -> None:
        with self._lock:
            self._db.close()
