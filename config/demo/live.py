"""Go on living: every few seconds each machine says how it is, until somebody stops it."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
from django.db import DatabaseError

from config.demo import history
from config.demo.gateway import Refused, Row, Unreachable
from config.demo.noise import IntArray
from config.demo.report import Report
from config.demo.simulator import Breakdown, SimulatedMachine

EVERY_S = 5
# After a longer pause the missing time is filled in minutes, as the history was.
FILL_IN_MINUTES_AFTER_S = 600
LOOK_EVERY_S = 60
TRY_AGAIN_AFTER_S = 60


class Poster(Protocol):
    """What takes readings: a `config.demo.gateway.Gateway`."""

    def post(self, rows: Sequence[Row], *, token: str) -> None: ...


@dataclass
class LiveMachine:
    """A machine with its token, and up to when its readings were taken in."""

    machine: SimulatedMachine
    machine_id: UUID
    token: str
    sent_until_ms: int

    def due(self, *, now_ms: int) -> IntArray:
        """Choose the times to post now: none while its gateway is offline, all of them after."""
        step_ms = EVERY_S * 1000
        gap_ms = now_ms - self.sent_until_ms
        if gap_ms > FILL_IN_MINUTES_AFTER_S * 1000:
            step_ms = history.MINUTE_MS
        return np.sort(
            history.history_times(
                self.machine, after_ms=self.sent_until_ms, now_ms=now_ms + 1, step_ms=step_ms
            )
        )


def go_on(
    machines: Sequence[LiveMachine],
    *,
    gateway: Poster,
    stop: threading.Event,
    record: Callable[[UUID, Breakdown], None],
    inspect: Callable[[float], None],
    report: Report,
    clock: Callable[[], float] = time.time,
) -> None:
    """Post live readings, record breakdowns as they happen and inspect, until `stop` is set."""
    known = {live.machine_id: _failed(live, until=clock()) for live in machines}
    looked_at = clock()
    silent_until: dict[UUID, float] = {}
    while not stop.is_set():
        now = clock()
        for live in machines:
            if stop.is_set():
                return
            if now >= silent_until.get(live.machine_id, 0.0):
                try:
                    _post_due(live, gateway, now_ms=int(now * 1000))
                except (Unreachable, Refused) as error:
                    # Parts restart, and people revoke tokens: keep the readings, try again.
                    silent_until[live.machine_id] = now + TRY_AGAIN_AFTER_S
                    report.progress(f"{live.machine.name} keeps its readings for now: {error}")
        if now - looked_at >= LOOK_EVERY_S:
            looked_at = now
            try:
                _record_new(machines, known, until=now, record=record)
            except DatabaseError as error:
                report.progress(f"failures are recorded later: {error}")
            try:
                inspect(now)
            except Exception as error:  # whatever part is away: the next look catches up
                report.progress(f"inspections are recorded later: {error}")
        stop.wait(max(EVERY_S - (clock() - now), 0.2))


def _post_due(live: LiveMachine, gateway: Poster, *, now_ms: int) -> None:
    times = live.due(now_ms=now_ms)
    for begin in range(0, len(times), 500):
        part = times[begin : begin + 500]
        gateway.post(live.machine.rows(part), token=live.token)
        live.sent_until_ms = int(part[-1])


def _failed(live: LiveMachine, *, until: float) -> set[datetime]:
    return {b.failed_at for b in live.machine.breakdowns(until=until) if b.restored_at}


def _record_new(
    machines: Sequence[LiveMachine],
    known: dict[UUID, set[datetime]],
    *,
    until: float,
    record: Callable[[UUID, Breakdown], None],
) -> None:
    """Record what was repaired meanwhile: the record names both ends of the failure."""
    for live in machines:
        for breakdown in live.machine.breakdowns(until=until):
            is_new = breakdown.failed_at not in known[live.machine_id]
            if breakdown.restored_at is not None and is_new:
                record(live.machine_id, breakdown)
                known[live.machine_id].add(breakdown.failed_at)
