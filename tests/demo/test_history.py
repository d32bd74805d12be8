"""What is posted when: on time, late after an outage, and seamlessly live."""

import threading
import uuid
from datetime import UTC, datetime

import numpy as np

from config.demo import history, live
from config.demo.gateway import Refused
from config.demo.live import EVERY_S, LiveMachine
from config.demo.machines import ACME
from config.demo.report import Report
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
    saw_live = LiveMachine(saw, uuid.uuid4(), "token", _ms(ANCHOR + begin * 60 - 60))

    during = saw_live.due(now_ms=_ms(ANCHOR))
    after = saw_live.due(now_ms=_ms(ANCHOR + end * 60 + 10))

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


class _Gateway:
    """Takes readings, but refuses one token; stops the loop after some posts."""

    def __init__(self, stop: threading.Event, *, refused: str, n_posts: int) -> None:
        self.stop, self.refused, self.left = stop, refused, n_posts
        self.posts: list[str] = []

    def post(self, rows, *, token):
        self.posts.append(token)
        self.left -= 1
        if self.left == 0:
            self.stop.set()
        if token == self.refused:
            raise Refused(401, "revoked")


def test_a_revoked_device_silences_no_other(monkeypatch):
    said: list[str] = []
    stop, now = threading.Event(), [ANCHOR]
    gateway = _Gateway(stop, refused="revoked", n_posts=4)
    monkeypatch.setattr(stop, "wait", lambda _s: now.__setitem__(0, now[0] + EVERY_S))
    machines = [
        LiveMachine(_machine(name), uuid.uuid4(), token, _ms(ANCHOR) - 10_000)
        for name, token in (("Mill 1", "revoked"), ("Mill 2", "good"))
    ]

    live.go_on(
        machines, gateway=gateway, stop=stop, record=lambda *_: None, inspect=lambda _: None,
        report=Report(say=said.append), clock=lambda: now[0],
    )  # fmt: skip

    assert gateway.posts == ["revoked", "good", "good", "good"]
    assert len(said) == 1
    assert "Mill 1 keeps its readings" in said[0]


def test_live_readings_come_every_few_seconds_without_repeating():
    mill = LiveMachine(_machine("Mill 1"), uuid.uuid4(), "token", _ms(ANCHOR))

    first = mill.due(now_ms=_ms(ANCHOR + 12))
    mill.sent_until_ms = int(first[-1])
    second = mill.due(now_ms=_ms(ANCHOR + 22))

    both = np.concatenate([first, second])
    assert len(both) >= 4
    assert (np.diff(both) == EVERY_S * 1000).all()
