"""The reader against a dictionary, whatever happens to the readings meanwhile.

Writes, repeats, late data and revisions go in through the real ingest application; sealing,
archive (on a real S3 server), restore and expiry are the services that the clock calls.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from telemetry import selectors, services
from telemetry.ingest.app import IngestApp
from telemetry.models import ArchiveFile, Latest
from telemetry.services.retention import KEPT_AT_LEAST
from tenants.models import FactoryLimits
from tests.telemetry.ingest.conftest import Answer, Door, Plant
from tests.telemetry.ingest.reference import Reference

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
START = datetime(2026, 8, 20, tzinfo=UTC)
# Times to write at: dense in places, so that windows of every size come to be, and months apart.
PLACES_MS = [
    int((START + timedelta(days=day, hours=hour, seconds=second)).timestamp() * 1000)
    for day in (0, 1, 40, 41, 70, 91)
    for hour in (0, 1, 5)
    for second in range(0, 300, 5)
]
KEYS = ("a", "b", "s")
NUMBERS = st.sampled_from([0.0, 1.5, -2.25, 20.0, 3.125])
TEXTS = st.sampled_from(["run", "stop"])
CELL = st.one_of(
    st.fixed_dictionaries({"a": NUMBERS}, optional={"b": NUMBERS, "s": TEXTS}),
    st.fixed_dictionaries({"b": NUMBERS}, optional={"s": TEXTS}),
)
PLACE = st.integers(0, len(PLACES_MS) - 1)


class History(RuleBasedStateMachine):
    """One device of one factory; `plant`, `loop` and `door` are put in by the test."""

    plant: ClassVar[Plant]
    loop: ClassVar[asyncio.AbstractEventLoop]
    door: ClassVar[Door]

    def __init__(self) -> None:
        super().__init__()
        self.reference = Reference()
        self.sent: list[list[tuple[int, dict[str, object]]]] = []

    @initialize()
    def begin(self) -> None:
        self.device = self.plant.device("mills")

    # -- what happens ---------------------------------------------------------------------------

    @rule(readings=st.lists(st.tuples(PLACE, CELL), min_size=1, max_size=6))
    def write_few(self, readings) -> None:
        self._post([(PLACES_MS[place], values) for place, values in readings])

    @rule(start=PLACE, n=st.integers(32, 90), cell=CELL, step=st.sampled_from([1, 2, 3]))
    def write_many(self, start, n, cell, step) -> None:
        places = PLACES_MS[start : start + n * step : step]
        self._post(
            [
                (ms, {k: v if k == "s" else v + i % 7 for k, v in cell.items()})
                for i, ms in enumerate(places)
            ]
        )

    @rule(which=st.integers(0, 50))
    def repeat(self, which) -> None:
        if self.sent:
            self._post(self.sent[which % len(self.sent)])

    @rule(days=st.sampled_from([1, 41, 70, 92]))
    def compact(self, days) -> None:
        with self.plant.inside("mills"):
            services.compact(at=START + timedelta(days=days, hours=2))

    @rule()
    def fold_usage(self) -> None:
        with self.plant.inside("mills"):
            services.fold_usage()

    @rule(days=st.sampled_from([45, 75]))
    def archive(self, days) -> None:
        with self.plant.inside("mills") as factory:
            FactoryLimits.objects.filter(factory=factory).update(archive_days=days)
            services.archive(at=NOW)
            FactoryLimits.objects.filter(factory=factory).update(archive_days=None)

    @rule(which=st.integers(0, 5))
    def restore(self, which) -> None:
        with self.plant.inside("mills"):
            files = ArchiveFile.objects.filter(device_id=self.device.device_id).order_by("t0")
            if files:
                file = files[which % len(files)]
                services.restore(device_id=file.device_id, t0=file.t0)

    @rule(days=st.sampled_from([45, 60]))
    def expire(self, days) -> None:
        kept = max(timedelta(days=days), KEPT_AT_LEAST)
        with self.plant.inside("mills") as factory:
            FactoryLimits.objects.filter(factory=factory).update(history_days=days)
            services.expire(at=NOW)
            FactoryLimits.objects.filter(factory=factory).update(history_days=None)
        end = (NOW - kept).replace(hour=0)
        end_ms = int(end.timestamp() * 1000)
        self.reference.current = {
            place: value for place, value in self.reference.current.items() if place[0] >= end_ms
        }

    def _post(self, readings) -> None:
        self.sent.append(readings)
        closed_ms = self._closed_ms()
        refused = [i for i, (ms, _) in enumerate(readings) if ms < closed_ms]
        before = list(self.reference.counts)
        for ms, values in readings:
            if ms >= closed_ms:
                self.reference.take(ms, values)
        body = [{"ts": ms, "values": values} for ms, values in readings]
        answer = self.loop.run_until_complete(self._sent(body))
        counted = [now - then for now, then in zip(self.reference.counts, before, strict=True)]
        assert answer.status in (200, 422), answer.body
        assert [r["index"] for r in answer.body["rejected"]] == refused
        assert list(answer.counts[1:3]) == counted[1:]

    async def _sent(self, body) -> Answer:
        """Post until it is taken; ingest slept while the steps before ran, and renews its trust."""
        while True:
            answer = await self.door.post(body, sender=self.device)
            if answer.body.get("message", "").startswith("Tokens cannot be checked"):
                await asyncio.sleep(0.2)
                continue
            return answer

    def _closed_ms(self) -> float:
        with self.plant.inside("mills"):
            row = Latest.objects.filter(device_id=self.device.device_id).first()
        return row.closed_to.timestamp() * 1000 if row and row.closed_to else 0

    # -- what is read ---------------------------------------------------------------------------

    @invariant()
    def the_reader_says_what_a_dictionary_holds(self) -> None:
        with self.plant.inside("mills"):
            found = selectors.raw(device_id=self.device.device_id, keys=KEYS, start=START, end=NOW)
            texts = found.texts("s")
        cells = {}
        for i, ms in enumerate(found.times.tolist()):
            for key in KEYS:
                value = texts[i] if key == "s" else found.columns[key][i]
                if value is not None and value == value:
                    cells[ms, key] = value
        assert list(found.times) == sorted(set(found.times.tolist()))
        assert cells == self.reference.current

    @rule(
        ends=st.lists(PLACE, min_size=2, max_size=2, unique=True),
        n=st.sampled_from([1, 7, 60, 500]),
        shift_ms=st.sampled_from([0, 1, 61_000]),
    )
    def buckets_are_those_of_a_dictionary(self, ends, n, shift_ms) -> None:
        first, last = (PLACES_MS[i] for i in sorted(ends))
        first, last = first - shift_ms, last + shift_ms + 1
        with self.plant.inside("mills"):
            result = selectors.series(
                device_id=self.device.device_id,
                keys=("a", "b"),
                start=datetime.fromtimestamp(first / 1000, UTC),
                end=datetime.fromtimestamp(last / 1000, UTC),
                n_buckets=n,
            )
        for key, got in result.keys.items():
            assert len(got.t) <= n
            values = {
                ms: value
                for (ms, name), value in self.reference.current.items()
                if name == key and first <= ms < last and isinstance(value, float)
            }
            assert sum(got.n) == len(values)
            for i, t in enumerate(got.t):
                inside = [v for ms, v in values.items() if t <= ms < t + result.bucket_ms]
                assert (got.n[i], got.min[i], got.max[i]) == (
                    len(inside), min(inside), max(inside)
                )  # fmt: skip
                assert np.isclose(got.avg[i], np.mean(inside))


def test_the_reader_equals_a_dictionary_at_every_step(plant, database_url, bucket):
    loop = asyncio.new_event_loop()
    app = IngestApp(
        database_url=database_url,
        valkey_url="redis://127.0.0.1:1/0",
        base_url="https://localhost:8443",
    )
    loop.run_until_complete(app.startup())
    machine = type("Machine", (History,), {"plant": plant, "loop": loop, "door": Door(app)})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=40,
                stateful_step_count=50,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        loop.run_until_complete(app.shutdown())
        loop.close()
