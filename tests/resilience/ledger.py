"""A client that writes down what it sends before it sends it, and what was acknowledged after.

At the end its ledger is compared with the database: lost (acknowledged and absent), double
(stored twice), phantom (stored with another value or never sent). All three must be none.
"""

import http.client
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

T0 = 1_700_000_000_000


@dataclass
class Ledger:
    """One device's promises, on disk before anything depends on them."""

    path: Path
    token: str
    port: int
    seed: int
    sent: dict[int, dict[str, float]] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    waiting: list[list[int]] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._file = self.path.open("a")
        self._next = T0 + self.seed * 10_000_000

    def work_until(self, stopped: threading.Event) -> None:
        """Send new batches, each again until it is acknowledged."""
        while not stopped.is_set():
            self.send(self._new_batch(), stopped)
        self._file.close()

    def finish(self, deadline: float) -> None:
        """Send again what was never acknowledged; fails when that is not possible in time."""
        self._file = self.path.open("a")
        never = threading.Event()
        while self.waiting:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not recover")
            self.send(self.waiting.pop(), never, deadline)
        self._file.close()

    def send(
        self, batch: list[int], stopped: threading.Event, deadline: float = float("inf")
    ) -> None:
        body = json.dumps([{"ts": ts, "values": self.sent[ts]} for ts in batch])
        while time.monotonic() < deadline:
            status, answer = self._post(body)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status == 200:
                assert answer["received"] == answer["stored"] + answer["duplicates"] == len(batch)
                self._write({"acknowledged": batch})
                self.acknowledged.update(batch)
                return
            if stopped.is_set():
                break
            time.sleep(0.05)
        self.waiting.append(batch)

    def _new_batch(self) -> list[int]:
        n = self._chance.choice([1, 1, 1, 5, 300])
        batch = list(range(self._next, self._next + n))
        self._next += n
        for ts in batch:
            self.sent[ts] = {"a": self._chance.random(), "b": float(ts % 1000)}
        self._write({"sending": {ts: self.sent[ts] for ts in batch}})
        return batch

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _post(self, body: str) -> tuple[int, dict[str, Any]]:
        """The status and answer; status 0 where there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
            connection.request("POST", "/api/v1/telemetry", body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()


def compare(ledger: Ledger, stored: list[tuple[int, dict[str, float]]]) -> dict[str, int]:
    """Count what should be none."""
    times = [ts for ts, _ in stored]
    values = dict(stored)
    return {
        "lost": len(ledger.acknowledged - values.keys()),
        "double": len(times) - len(set(times)),
        "phantom": sum(ledger.sent.get(ts) != found for ts, found in stored),
    }
