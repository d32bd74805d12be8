"""What is posted when: on time, late after an outage, and seamlessly live."""

import uuid
from datetime import UTC, datetime

import numpy as np

from config.demo import history
from config.demo.live import EVERY_S, LiveMachine
from config.demo.machines import ACME
from config.demo.simulator import SimulatedMachine

ANCHOR = datetime(2026, 11, 17, 9, 42, tzinfo=UTC).timestamp()
MINUTE_MS = 60_000


def _machine(name: str) -> SimulatedMachine:
    spec = next(spec for spec in ACME.machines if spec.name == name)
    return SimulatedMachine(
        spec, factory=ACME, seed=7, anchor=ANCHOR, days=28, until=ANCHOR + 86_400
    )


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def test_every_minute_of_the_history_is_posted_once():
    mill = _machine("Mill 1")
    now_ms = _ms(ANCHOR)

    times = history.history_times(mill, after_ms=_ms(mill.start) - MINUTE_MS, now_ms=now_ms)

    whole = np.arange(_ms(mill.start), now_ms, MINUTE_MS)
    assert np.array_equal(np.sort(times), whole)


def test_what_a_gateway_kept_while_offline_is_posted_last(monkeypatch):
    monkeypatch.setattr(history, "OUTAGES_PER_DAY", 0.3)
    mill = _machine("Mill 1")
    spans = history.outages(mill, start=mill.start, end=ANCHOR)
    times = history.history_times(mill, after_ms=_ms(mill.start), now_ms=_ms(ANCHOR))

    begin, end = spans[spans[:, 0] > mill.start][0] * 1000
    late = (times >= begin) & (times < end)

    assert late.any()
    assert times[late.argmax() - 1] > end
    assert (np.diff(times) < 0).sum() == 1


def test_nothing_of_an_open_outage_is_posted_and_all_of_it_afterwards():
    saw = _machine("Saw 1")
    begin, end = saw.spec.offline_min
    live = LiveMachine(saw, uuid.uuid4(), "token", _ms(ANCHOR + begin * 60 - 60))

    during = live.due(now_ms=_ms(ANCHOR))
    after = live.due(now_ms=_ms(ANCHOR + end * 60 + 10))

    assert (during < _ms(ANCHOR + begin * 60)).all()
    assert after[-1] >= _ms(ANCHOR + end * 60)
    assert np.diff(after).max() == MINUTE_MS


def test_machines_of_one_gateway_go_silent_together(monkeypatch):
    monkeypatch.setattr(history, "OUTAGES_PER_DAY", 0.3)
    first, second = _machine("Mill 1"), _machine("Mill 2")
    other = _machine("Lathe 1")

    spans = history.outages(first, start=first.start, end=ANCHOR)

    assert np.array_equal(spans, history.outages(second, start=first.start, end=ANCHOR))
    assert not np.array_equal(spans, history.outages(other, start=first.start, end=ANCHOR))


def test_live_readings_come_every_few_seconds_without_repeating():
    live = LiveMachine(_machine("Mill 1"), uuid.uuid4(), "token", _ms(ANCHOR))

    first = live.due(now_ms=_ms(ANCHOR + 12))
    live.sent_until_ms = int(first[-1])
    second = live.due(now_ms=_ms(ANCHOR + 22))

    both = np.concatenate([first, second])
    assert len(both) >= 4
    assert (np.diff(both) == EVERY_S * 1000).all()
