"""Clients that never stop sending, and the rounds of faults that they go through."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.resilience.ledger import Ledger, compare
from tests.resilience.site import SCHEMA, Site

N_ROUNDS = int(os.environ.get("RESILIENCE_ROUNDS", "20"))
# The promises hold for a machine of its own; one that is shared may be given more time.
PATIENCE = float(os.environ.get("RESILIENCE_PATIENCE", "1"))
N_CLIENTS = 4
NOTHING = {"lost": 0, "double": 0, "phantom": 0}
# Waiting for the first acknowledgement of all is no promise, only a bound.
_START_S = 120.0
_END_MS = 2_000_000_000_000
# What is done to the site; answers when it was done (monotonic).
Fault = Callable[[random.Random], float]
Say = Callable[[str], None]


class Crew:
    """Some devices of one factory, each sending in a thread with a ledger of its own."""

    def __init__(
        self, site: Site, folder: Path, *, n: int = N_CLIENTS, schema: str = SCHEMA
    ) -> None:
        self._site = site
        self._schema = schema
        devices = site.take_devices(n, schema)
        self.device_ids = [device_id for device_id, _ in devices]
        self.ledgers = [
            Ledger(folder / f"{schema}-{device_id}.jsonl", token, site.ports[i % 2], seed=i)
            for i, (device_id, token) in enumerate(devices)
        ]
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=ledger.work_until, args=(self._stopped,))
            for ledger in self.ledgers
        ]

    def __enter__(self) -> "Crew":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        for ledger in self.ledgers:
            ledger.close()

    def stop(self) -> None:
        """Let no client begin another batch."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def wait_served(self, since: float, *, at_most_s: float) -> float:
        """Wait until a request of each client that began after `since` was acknowledged.

        Returns:
            the seconds from `since` until then.

        Raises:
            TimeoutError: it took longer than `at_most_s`.
        """
        while not all(ledger.served_at > since for ledger in self.ledgers):
            if time.monotonic() - since > at_most_s * PATIENCE:
                raise TimeoutError(
                    f"not served {at_most_s:g} s after: {[one.statuses for one in self.ledgers]}"
                )
            time.sleep(0.01)
        return time.monotonic() - since

    def answers(self) -> Counter[int]:
        """How often each status was answered so far; 0 is no answer."""
        total: Counter[int] = Counter()
        for ledger in self.ledgers:
            total.update(dict(ledger.statuses))
        return total

    def check(self, starts: list[int] | None = None) -> None:
        """Compare what is acknowledged by now with what can be read, from some times on."""
        for i, ledger in enumerate(self.ledgers):
            start = starts[i] if starts else ledger.first
            acknowledged = {ts for ts in tuple(ledger.acknowledged) if ts >= start}
            stored = self._site.reader.stored(
                schema=self._schema, device_id=self.device_ids[i], start=start, end=_END_MS
            )
            found = compare(ledger, acknowledged, stored)
            assert (found, ledger.complaints) == (NOTHING, []), (ledger.path, found)

    def finish(self, *, at_most_s: float) -> None:
        """Stop, send again what had no answer, and compare everything, counts included."""
        self.stop()
        deadline = time.monotonic() + at_most_s * PATIENCE
        for ledger in self.ledgers:
            ledger.finish(deadline)
            assert ledger.acknowledged == set(ledger.sent)
        self.check()
        for device_id, ledger in zip(self.device_ids, self.ledgers, strict=True):
            n = len(ledger.sent)
            assert self._counted(device_id) == (n, n)

    def _counted(self, device_id: int) -> tuple[int, int]:
        """What the device is said to have stored, and what billing would count."""
        with self._site.connect() as connection:
            row = connection.execute(
                f"SELECT (SELECT n_stored FROM {self._schema}.latest WHERE device_id = %s)::int,"
                f" (SELECT sum(n) FROM (SELECT n_readings AS n FROM {self._schema}.reading_hour"
                f" WHERE device_id = %s UNION ALL SELECT u.n FROM {self._schema}.usage_delta,"
                f" unnest(device_ids, n_readings) AS u(d, n) WHERE u.d = %s) used)::int".encode(),
                [device_id] * 3,
            ).fetchone()
        assert row is not None
        return int(str(row[0])), int(str(row[1]))


def go_through(crew: Crew, fault: Fault, *, name: str, at_most_s: float, say: Say) -> None:
    """Let a fault happen in N_ROUNDS seeded rounds while the crew sends; check after each."""
    with crew:
        crew.wait_served(time.monotonic(), at_most_s=_START_S)
        for seed in range(N_ROUNDS):
            chance = random.Random(f"{name} {seed}")
            starts = [ledger.open_from for ledger in crew.ledgers]
            before = crew.answers()
            time.sleep(chance.uniform(0.05, 0.4))
            took_s = crew.wait_served(fault(chance), at_most_s=at_most_s)
            crew.check(starts)
            answers = sorted((crew.answers() - before).items())
            shown = ", ".join(f"{n} x {status or 'no answer'}" for status, n in answers)
            say(f"{name} {seed}: served after {took_s:.2f} s; {shown}; 0 lost, double, phantom")
        crew.finish(at_most_s=at_most_s)
