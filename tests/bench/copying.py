"""PostgreSQL's COPY of the same points: what the database takes when nothing is asked of it.

One connection with psycopg copies binary images built before the clock starts; between two
copies only their times move on, in place. A row is (series int, ts timestamptz, value float8).
A commit holds 16 requests of 500 readings with 4 values, 32,000 rows: all that 16 senders can
have under way, so the largest group that what it is compared with can commit, which favours
COPY. The rows stand series by series, the order a primary key likes best; the table is empty at
the start of each stretch and is never vacuumed. No request is decoded, no token looked up, no
repeat found (the keyed table refuses one), no newest value and no usage kept.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from tests.bench.load import Result

N_SENDERS = 16
N_READINGS = 500
N_VALUES = 4
READINGS_A_COMMIT = N_SENDERS * N_READINGS
_PG_EPOCH_US = 946_684_800_000_000
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_ROW = np.dtype(
    [
        ("n_fields", ">i2"),
        ("series_length", ">i4"), ("series", ">i4"),
        ("time_length", ">i4"), ("time", ">i8"),
        ("value_length", ">i4"), ("value", ">f8"),
    ]
)  # fmt: skip


class Copier:
    """A table and the connection that fills it."""

    def __init__(self, connection: "psycopg.Connection[Any]", *, has_key: bool) -> None:
        self._connection = connection
        self.name = self._table = "copy_keyed" if has_key else "copy_heap"
        key = ", PRIMARY KEY (series, ts)" if has_key else ""
        connection.execute(
            f"CREATE TABLE {self._table} (series int, ts timestamptz, value float8{key})"
            " WITH (autovacuum_enabled = off)"
        )

    def run(self, seconds: float, first_at: str) -> Result:
        """Copy for some seconds; a request of the result is a commit."""
        self._connection.execute(f"TRUNCATE {self._table}")
        rows = _image(datetime.fromisoformat(first_at))
        took: list[float] = []
        start = time.perf_counter()
        cpu = time.thread_time()
        while (sent_at := time.perf_counter()) - start < seconds:
            with self._connection.cursor().copy(
                f"COPY {self._table} FROM STDIN (FORMAT BINARY)"
            ) as copy:
                copy.write(_HEADER)
                copy.write(memoryview(rows).cast("B"))
                copy.write(_TRAILER)
            took.append(time.perf_counter() - sent_at)
            rows["time"] += 1_000_000
        elapsed = time.perf_counter() - start
        cpu = time.thread_time() - cpu
        took.sort()
        return Result(
            requests_per_s=len(took) / elapsed,
            p50_ms=took[len(took) // 2] * 1000,
            p95_ms=took[len(took) * 95 // 100] * 1000,
            p99_ms=took[len(took) * 99 // 100] * 1000,
            n_requests=len(took),
            n_late=0,
            n_errors=0,
            client_cpu_share=cpu / elapsed,
        )


@contextmanager
def copiers(database_url: str) -> Iterator[tuple[Copier, Copier]]:
    """Yield a copier into a heap and one into a table with a primary key."""
    with psycopg.connect(database_url, autocommit=True, connect_timeout=10) as connection:
        connection.execute("SET statement_timeout = '60s'")
        yield Copier(connection, has_key=False), Copier(connection, has_key=True)


def _image(first_at: datetime) -> Any:
    """The rows of one commit: each series of each sender, a millisecond apart."""
    chance = np.random.default_rng(1)
    n = READINGS_A_COMMIT * N_VALUES
    rows = np.zeros(n, _ROW)
    rows["n_fields"] = 3
    rows["series_length"], rows["time_length"], rows["value_length"] = 4, 8, 8
    rows["series"] = np.repeat(np.arange(N_SENDERS * N_VALUES), N_READINGS)
    start = int(first_at.timestamp()) * 1_000_000 - _PG_EPOCH_US
    rows["time"] = start + np.tile(np.arange(N_READINGS) * 1000, N_SENDERS * N_VALUES)
    rows["value"] = np.round(chance.uniform(1, 90, n), 2)
    return rows
