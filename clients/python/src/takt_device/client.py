"""The client: takes readings, sends them when it can, and says what became of them."""

from __future__ import annotations

import contextlib
import json
import math
import random
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Literal, Union

from takt_device.clock import steady_s
from takt_device.courier import Answer, Courier
from takt_device.queue import Batch, Queue
from takt_device.report import Refused, Report

Value = Union[float, int, bool, str]
Values = Mapping[str, Value]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MAX_BATCH_BYTES = 1_000_000
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0


class TokenRefused(Exception):
    """The server does not know the token (any more). What is queued stays queued."""


class Client:
    """Sends the readings of one device.

    Args:
        url: where Takt is, such as `https://takt.example`.
        queue_path: the file to queue in, of this client alone; it is made when missing.
        ca_file: the authority behind the server's certificate, None where the system knows it.
        background: send from a thread; otherwise only `flush()` and `run()` send.
        when_full: "drop_oldest" (and report it), or "refuse" by QueueFull out of `send()`.
        correct_clock: stamp readings by the server's clock as far as it is known; times that
            the caller gives are never touched.

    Raises:
        QueueInUse: another client has this queue open.
    """

    def __init__(
        self, url: str, token: str, queue_path: str | PathLike[str], *,
        ca_file: str | PathLike[str] | None = None, background: bool = True,
        batch_size: int = 1000, max_readings: int = 1_000_000, max_bytes: int = 256 * 2**20,
        when_full: Literal["drop_oldest", "refuse"] = "drop_oldest",
        correct_clock: bool = False, timeout_s: float = 30.0,
    ) -> None:  # fmt: skip
        # A batch is never dropped while it is under way: it may take half of the room at most.
        self._batch_size = self._full_batch = max(1, min(batch_size, max_readings // 2))
        self._batch_bytes = min(_MAX_BATCH_BYTES, max_bytes // 2)
        self._correct_clock = correct_clock
        self._courier = Courier(url, token, str(ca_file) if ca_file else None, timeout_s)
        self._queue = Queue(
            Path(queue_path), max_readings=max_readings, max_bytes=max_bytes,
            drops=when_full == "drop_oldest",
        )  # fmt: skip
        self._stopped = ""
        self._n_failures = 0
        self._not_before_s = 0.0
        self._last_stamp_us = 0
        self._stamping, self._sending = threading.Lock(), threading.Lock()
        self._closing, self._news = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        if background:
            self._thread = threading.Thread(target=self.run, args=(self._closing,), daemon=True)
            self._thread.start()

    def send(self, values: Values, ts: datetime | None = None) -> None:
        """Take one reading; it is on disk when this returns.

        Args:
            ts: when it was measured, with its time zone; None for now.

        Raises:
            ValueError: it can never be sent (no values, NaN, a time without a zone).
            NotQueued: the disk did not take it, or (QueueFull) there is no room.
        """
        self.send_many([(values, ts)])

    def send_many(self, readings: Iterable[tuple[Values, datetime | None]]) -> None:
        """Take readings with their times, all or none, in one commit."""
        rows = [self._row(values, ts) for values, ts in readings]
        if rows:
            self._queue.append(rows)
            self._news.set()

    def flush(self, timeout_s: float | None = None) -> bool:
        """Send until nothing is queued; False when the time was up before (0: one attempt).

        Raises:
            TokenRefused: the server does not know the token.
        """
        if self._stopped:
            raise TokenRefused(self._stopped)
        deadline_s = steady_s() + (math.inf if timeout_s is None else timeout_s)
        while True:
            wait_s = self._wait_s()
            if steady_s() + wait_s <= deadline_s:
                time.sleep(wait_s)
            elif wait_s:
                return self._queue.n_queued == 0
            if not self._step():
                return True
            if self._stopped:
                raise TokenRefused(self._stopped)
            if steady_s() >= deadline_s:
                return self._queue.n_queued == 0

    def run(self, stop: threading.Event) -> None:
        """Send in this thread until `stop` is set or the token is refused."""
        while not (stop.is_set() or self._stopped):
            wait_s = self._wait_s()
            if wait_s:
                stop.wait(wait_s)
            elif not self._attempt():
                self._news.wait(0.5)
                self._news.clear()

    def close(self, timeout_s: float = 5.0) -> None:
        """Try for a while to send what is queued, then end; the rest stays on disk.

        A request that is under way is waited for, at most for its own time-out.
        """
        if self._closing.is_set():
            return
        try:
            with contextlib.suppress(TokenRefused):  # the report says it
                if timeout_s > 0:
                    self.flush(timeout_s)
        finally:
            self._closing.set()
            self._news.set()
            if self._thread is not None:
                self._thread.join()
            self._courier.close()
            self._queue.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    @property
    def clock_offset_s(self) -> float | None:
        """Server's clock less this machine's; None before the first answer."""
        return self._courier.clock.offset_s()

    def report(self) -> Report:
        """Say what became of every reading since the queue was made."""
        facts = self._queue.facts()
        return Report(**facts, stopped=self._stopped, clock_offset_s=self.clock_offset_s)

    def refused(self) -> list[Refused]:
        """Return the newest readings that the server refused, the oldest first."""
        return self._queue.refused()

    # -- inside --------------------------------------------------------------------------------

    def _row(self, values: Values, ts: datetime | None) -> tuple[int, str]:
        if not values:
            raise ValueError("a reading needs at least one value")
        if ts is not None and ts.tzinfo is None:
            raise ValueError("a time needs its time zone: datetime.now(timezone.utc)")
        # Rounded once, here: what is sent again carries the very same time.
        ts_us = self._stamp_us() if ts is None else (ts - _EPOCH) // timedelta(microseconds=1)
        at = (_EPOCH + timedelta(microseconds=ts_us)).isoformat()
        reading = {"ts": at.replace("+00:00", "Z"), "values": dict(values)}
        return ts_us, json.dumps(reading, allow_nan=False, separators=(",", ":"))

    def _stamp_us(self) -> int:
        """Return now, but never the same microsecond twice: it would be the same reading."""
        offset_s = self.clock_offset_s if self._correct_clock else None
        with self._stamping:
            now_us = time.time_ns() // 1000 + round((offset_s or 0.0) * 1e6)
            if now_us == self._last_stamp_us:
                now_us += 1
            self._last_stamp_us = now_us
            return now_us

    def _attempt(self) -> bool:
        try:
            return self._step()
        except Exception as error:  # the disk is full, say: whatever it is, sending goes on
            self._wait_longer(f"{type(error).__name__}: {error}")
            return True

    def _wait_s(self) -> float:
        return max(0.0, self._not_before_s - steady_s())

    def _step(self) -> bool:
        """Send one batch, the one under way or the oldest; False when nothing is queued."""
        with self._sending:
            if self._stopped or self._wait_s():  # another thread has just been told so
                return True
            batch = self._queue.batch(max_readings=self._batch_size, max_bytes=self._batch_bytes)
            if batch is None:
                return False
            self._take(batch, self._courier.deliver(batch))
            return True

    def _take(self, batch: Batch, answer: Answer) -> None:
        if answer.receipt is not None:
            got = answer.receipt
            self._settle(batch, got.stored, got.duplicates, got.rejected)
        elif answer.status == 401:
            self._stopped = answer.message
            self._queue.note_error(answer.message)
        elif answer.status == 413 and len(batch) > 1:
            self._queue.halve(batch)
            self._batch_size = (len(batch) + 1) // 2
        elif answer.status == 413 and answer.code:  # Takt itself has no room for this one
            self._settle(batch, 0, 0, ((0, answer.code, answer.message),))
        else:
            self._wait_longer(answer.message or "no receipt", answer.retry_after_s)

    def _settle(
        self, batch: Batch, stored: int, duplicates: int, rejected: tuple[tuple[int, str, str], ...]
    ) -> None:
        self._queue.settle(batch, stored=stored, duplicates=duplicates, rejected=rejected)
        self._n_failures = 0
        self._batch_size = min(self._full_batch, self._batch_size + self._batch_size // 8 + 1)

    def _wait_longer(self, why: str, retry_after_s: float = 0.0) -> None:
        """Wait longer each time, by chance: a thousand devices must not come back at once."""
        longest_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**self._n_failures)
        self._n_failures = min(self._n_failures + 1, 20)
        wait_s = retry_after_s + longest_s * random.uniform(0.5, 1.0)  # noqa: S311
        self._not_before_s = steady_s() + wait_s
        self._queue.note_error(why)
