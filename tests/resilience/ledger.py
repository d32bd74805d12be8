"""A client that writes down what it sends before it sends it, and what was acknowledged after.

At the end its ledger is compared with what the product reads back: lost (acknowledged and
absent), double (there twice), phantom (there with another value, or never sent). All three must
be none. What was answered otherwise than promised stands in `complaints`.
"""

import http.client
import json
import os
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

T0 = 1_700_000_000_000
_RANGE_MS = 10_000_000
_PAUSE_S = 0.1
Values = dict[str, float]


@dataclass
class Ledger:
    """One device's promises, on disk before anything depends on them."""

    path: Path
    token: str
    port: int
    seed: int
    sent: dict[int, Values] = field(default_factory=dict)
    acknowledged: set[int] = field(default_factory=set)
    waiting: list[list[int]] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    # When the newest of the requests that were acknowledged had begun (monotonic).
    served_at: float = 0.0
    # The first time that may still be on its way: everything before is acknowledged.
    open_from: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._file = self.path.open("a")
        self.first = self.open_from = self._next = T0 + self.seed * _RANGE_MS

    def work_until(self, stopped: threading.Event) -> None:
        """Send new batches, each again until it is acknowledged."""
        while not stopped.is_set():
            self.send(self._new_batch(), stopped)

    def finish(self, deadline: float) -> None:
        """Send again what was never acknowledged; fails when that is not possible in time."""
        never = threading.Event()
        while self.waiting:
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not recover")
            self.send(self.waiting.pop(), never, deadline)

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def send(
        self, batch: list[int], stopped: threading.Event, deadline: float = float("inf")
    ) -> None:
        """Send a batch until it is acknowledged; `waiting` keeps one that was not."""
        body = json.dumps([{"ts": ts, "values": self.sent[ts]} for ts in batch])
        while time.monotonic() < deadline:
            begun_at = time.monotonic()
            status, answer = self._post(body)
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status == 200:
                if answer["received"] != answer["stored"] + answer["duplicates"]:
                    self.complaints.append(f"does not add up: {answer}")
                if answer["received"] != len(batch):
                    self.complaints.append(f"{len(batch)} were sent: {answer}")
                self._write({"acknowledged": batch})
                self.acknowledged.update(batch)
                self.served_at = max(self.served_at, begun_at)
                return
            if stopped.is_set():
                break
            time.sleep(_PAUSE_S)
        self.waiting.append(batch)

    def _new_batch(self) -> list[int]:
        n = self._chance.choice([1, 1, 1, 5, 300])
        self.open_from = self._next
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
            answer = response.read()
            if response.status != 200:
                self._check_refusal(response, answer)
            return response.status, json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError):
            return 0, {}
        finally:
            connection.close()

    def _check_refusal(self, response: http.client.HTTPResponse, answer: bytes) -> None:
        if response.status != 503:
            self.complaints.append(f"{response.status}: {answer[:200]!r}")
        elif not response.headers.get("Retry-After", "").isdigit():
            self.complaints.append("503 without Retry-After")


def compare(
    ledger: Ledger, acknowledged: set[int], stored: Sequence[tuple[int, Values]]
) -> dict[str, int]:
    """Count what should be none, among what was acknowledged before `stored` was read."""
    times = [ts for ts, _ in stored]
    return {
        "lost": len(acknowledged - set(times)),
        "double": len(times) - len(set(times)),
        "phantom": sum(ledger.sent.get(ts) != found for ts, found in stored),
    }
