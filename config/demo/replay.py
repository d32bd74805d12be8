"""Replay recorded run-to-failure data through the real path, and judge what comes out.

Each unit becomes a machine with a device; its cycles are posted as telemetry over HTTPS; the end
of each training unit is recorded as its failure; the model learns from what the database then
holds; the test units are predicted and compared with what they had left.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db import connection
from django.utils import timezone

from config.demo import founding, history, learning
from config.demo.diary import Diary, FactoryEntry
from config.demo.gateway import Row
from config.demo.noise import IntArray
from config.demo.report import LinkFailed, Report
from mlops import selectors as mlops_selectors
from mlops.lives import FloatArray, Life
from mlops.maintenance import evaluation
from mlops.maintenance.run_to_failure import RunToFailure
from production import selectors as production_selectors
from production import services as production_services
from telemetry import selectors as telemetry_selectors
from telemetry.times import EPOCH
from tenants.context import factory_context
from tenants.models import Factory, User

LINKS = ("sign-up", "device", "telemetry", "model", "prediction")
METER = "cycle"
# The recordings say nothing of the time between two cycles.
EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class Unit:
    """One recorded unit as a machine: its name, its run, when it ends."""

    name: str
    life: Life
    ends_at: datetime

    def times(self) -> list[datetime]:
        n = len(self.life)
        return [self.ends_at - EVERY * (n - 1 - i) for i in range(n)]

    def rows(self, signals: Sequence[str]) -> list[Row]:
        """Give each cycle as a reading: the life meter, then every signal."""
        usage, values = self.life.usage.tolist(), self.life.values.tolist()
        return [
            {
                "ts": int(at.timestamp() * 1000),
                "values": {METER: usage[i], **dict(zip(signals, values[i], strict=True))},
            }
            for i, at in enumerate(self.times())
        ]


@dataclass
class Replay:
    """One recorded set on its way through the installation."""

    data: RunToFailure
    diary: Diary
    report: Report
    ca_file: Path

    @property
    def stem(self) -> str:
        return f"replay_{self.data.name.lower()}"

    def run(self) -> None:
        """Take the recording through every link.

        Raises:
            LinkFailed: names the first link that did not hold.
        """
        with self.report.link("sign-up"):
            factory, owner, entry = self._found()
        ends_at = datetime.fromtimestamp(int(factory.created_at.timestamp()), UTC)
        training = _units("Run", self.data.train, ends_at)
        tested = _units("Test", self.data.test, ends_at)
        with factory_context(factory):
            with self.report.link("device"):
                ids = self._connect([*training, *tested], factory, entry)
            with self.report.link("telemetry"):
                self._post([*training, *tested], entry)
                self._count(training, tested)
            with self.report.link("model"):
                self._learn(training, ids, owner)
            with self.report.link("prediction"):
                self._judge(tested, ids)

    def _found(self) -> tuple[Factory, User, FactoryEntry]:
        entry = self.diary.factories.setdefault(self.stem, FactoryEntry("", self.stem, ""))
        began = time.monotonic()
        founding.found_staff(self.diary)
        owner = founding.found_person(
            f"owner@{self.stem.replace('_', '-')}.example", "Rita Replay", "owner", entry
        )
        factory = Factory.objects.filter(schema_name=self.stem).first()
        if factory is None:
            factory = founding.sign_up(f"Replay {self.data.name}", owner=owner, stem=self.stem)
        founding.open_the_gates(factory)
        founding.write_entry(factory, entry)
        self.diary.write()
        took_s = time.monotonic() - began
        self.report.hold("sign-up", f"{factory.name} in {took_s:.1f} s")
        return factory, owner, entry

    def _connect(self, units: list[Unit], factory: Factory, entry: FactoryEntry) -> dict[str, UUID]:
        engine = production_services.machine_type(
            name=f"Engine {self.data.name}", life_meter_key=METER, life_meter_unit="cycles"
        )
        ids = {machine.name: machine.pk for machine in production_selectors.machines()}
        for unit in units:
            if unit.name not in ids:
                ids[unit.name] = production_services.add_machine(
                    name=unit.name, machine_type=engine, commissioned_at=unit.times()[0] - EVERY
                ).pk
        founding.found_devices(factory, entry, ids)
        self.diary.write()
        self.report.hold("device", f"{len(units)} engines, each with a device and its own token")
        return ids

    def _post(self, units: list[Unit], entry: FactoryEntry) -> None:
        uploads = []
        for unit in units:
            rows = unit.rows(self.data.signals)
            by_time = {row["ts"]: row for row in rows}
            times = np.fromiter(by_time, dtype=np.int64, count=len(by_time))
            uploads.append(history.Upload(entry.tokens[unit.name], times, _looked_up(by_time)))
        began = time.monotonic()
        tally = history.post_all(
            uploads, base_url=settings.DEVICE_URL, ca_file=self.ca_file, report=self.report,
            what="cycles posted",
        )  # fmt: skip
        took_s = time.monotonic() - began
        if tally.n_refused:
            raise LinkFailed("telemetry", f"refused: {tally.refusals}")
        self.report.progress(
            f"{tally.n_sent:,} sent in {took_s:.0f} s: {tally.n_stored:,} stored, "
            f"{tally.n_duplicates:,} known already"
        )

    def _count(self, training: list[Unit], tested: list[Unit]) -> None:
        """Count in SQL what is stored, and hold it against what the files hold."""
        figures = []
        for what, units in (("training", training), ("test", tested)):
            n_rows, n_distinct = _counted({unit.name for unit in units})
            n_recorded = sum(len(unit.life) for unit in units)
            if not n_rows == n_distinct == n_recorded:
                raise LinkFailed(
                    "telemetry",
                    f"{n_recorded} {what} readings are recorded, {n_rows} rows and {n_distinct} "
                    "distinct ones are stored",
                )
            figures.append(f"{n_rows:,} {what} readings")
        self.report.hold("telemetry", f"{' and '.join(figures)} stored, each exactly once (SQL)")

    def _learn(self, training: list[Unit], ids: dict[str, UUID], owner: User) -> None:
        known = {failure.machine_id for failure in production_selectors.failures()}
        for unit in training:
            if ids[unit.name] not in known:
                production_services.record_failure(
                    machine_id=ids[unit.name], failed_at=unit.ends_at, mode="breakdown",
                    mechanism="mechanical", source="recording",
                )  # fmt: skip
        type_name = f"Engine {self.data.name}"
        learning.wait(learning.request([type_name], by=owner), report=self.report)
        self.report.hold("model", "; ".join(learning.in_service([type_name])))

    def _judge(self, tested: list[Unit], ids: dict[str, UUID]) -> None:
        machine_ids = [ids[unit.name] for unit in tested]
        learning.score(machine_ids, at=timezone.now())
        found = mlops_selectors.latest_predictions(machine_ids)
        said: list[tuple[float, float, float, float]] = []
        for unit, left in zip(tested, self.data.left.tolist(), strict=True):
            one = found.get(ids[unit.name])
            if one is None or one.rul is None or one.rul_low is None or one.rul_high is None:
                why = one.message if one is not None else "nothing was predicted"
                raise LinkFailed("prediction", f"{unit.name}: {why}")
            high = np.inf if one.is_open_ended else one.rul_high
            said.append((left, one.rul, one.rul_low, high))
        self._print(np.asarray(said))

    def _print(self, said: FloatArray) -> None:
        left, rul, low, high = said.T
        figures = evaluation.report(left, rul, low, high)
        self.report.hold(
            "prediction",
            f"{len(left)} units: RMSE {figures['rmse_capped']:.2f} (truth capped at 125), "
            f"{figures['rmse_uncapped']:.2f} (truth as it is)",
        )
        say = self.report.say
        say(f"{self.data.name}, {len(left)} test units, compared at their last cycle:")
        say(f"  {'':<22}{'RMSE':>8}{'NASA score':>12}")
        for name, rmse, score in (
            ("Takt, truth capped", figures["rmse_capped"], figures["nasa_score"]),
            ("Takt, truth as it is", figures["rmse_uncapped"], figures["nasa_score_uncapped"]),
        ):
            say(f"  {name:<22}{rmse:>8.2f}{score:>12,.0f}")
        say("  Published (older rows seem to compare with the truth as it is, newer ones cap it):")
        for method, sets in evaluation.PUBLISHED.items():
            if self.data.name in sets:
                rmse, score = sets[self.data.name]
                say(f"  {method:<22}{rmse:>8.2f}{score:>12,.0f}")
        say(
            f"  The 80 % intervals hold the truth for {figures['coverage_80']:.0%} of the units; "
            f"they are {figures['mean_width_80']:.0f} cycles wide on average."
        )


def _units(prefix: str, lives: Sequence[Life], ends_at: datetime) -> list[Unit]:
    return [Unit(f"{prefix} {int(life.key):03d}", life, ends_at) for life in lives]


def _looked_up(rows: Mapping[int, Row]) -> Callable[[IntArray], list[Row]]:
    return lambda times: [rows[at] for at in times.tolist()]


def _counted(unit_names: set[str]) -> tuple[int, int]:
    """Count stored readings, and distinct (device, time) pairs, of some machines' devices."""
    devices = telemetry_selectors.devices().filter(machine__name__in=unit_names)
    ids = list(devices.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM reading_hot WHERE device_id = ANY(%s))"
            " + (SELECT coalesce(sum(n), 0) FROM segment WHERE device_id = ANY(%s))",
            [ids, ids],
        )
        (n_rows,) = cursor.fetchone() or (0,)
    keys: dict[int, list[str]] = {}
    for signal in telemetry_selectors.signals_of(ids):
        keys.setdefault(signal.device_id, []).append(signal.key.key)
    ends_at = timezone.now() + timedelta(days=1)
    n_distinct = sum(
        len(telemetry_selectors.raw(device_id=i, keys=some, start=EPOCH, end=ends_at).times)
        for i, some in keys.items()
    )
    return int(n_rows), n_distinct


def run(data: RunToFailure, *, diary: Diary, report: Report, ca_file: Path) -> None:
    """Replay a recording against the started installation.

    Raises:
        LinkFailed: names the first link that did not hold.
    """
    report.links = LINKS
    Replay(data, diary, report, ca_file).run()
