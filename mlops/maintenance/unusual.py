"""Unusual behaviour as a kind of model: hours of running are its data, verdicts its truth.

It is the second rung of the ladder, learned once there is a day of running. Until then the
first rung answers: how far each signal lies from what was usual for the machine so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from zoneinfo import ZoneInfo

import numpy as np

from mlops import datasets
from mlops.anomaly.detector import Scores
from mlops.anomaly.episodes import Episode, episodes, strongest
from mlops.anomaly.findings import findings
from mlops.anomaly.health import OUTLIER, Baseline, Deviation, Health, health
from mlops.anomaly.health import NotEnoughHistory as TooFewRows
from mlops.anomaly.words import Finding, sentence
from mlops.artifacts import Bundle
from mlops.kinds import (
    Case,
    MachineKind,
    NotReady,
    Progress,
    Readiness,
    Snapshot,
    Trained,
    Turned,
    Watched,
    Worth,
)
from mlops.maintenance import fleet
from mlops.maintenance.fleet import Fleet
from mlops.maintenance.reasons import SignalName
from mlops.maintenance.running import LOOK_BACK, Rows, digest_of, rows_of, spacing_of, usual_rows
from mlops.models import Kind, ModelVersion, Prediction
from production import selectors as production_selectors
from production.models import Machine, MachineType
from telemetry import selectors as telemetry_selectors
from tenants.context import current_factory

HOURS_NEEDED: Final = 24
HELD_BACK: Final = 0.25
# On usual running that it had not seen, no more than this may be called unusual.
MOST_FALSE: Final = 0.05
# Rows that are scored each time: the longest running mean has forgotten what was before.
SCORED_ROWS: Final = 400
RECENT_ROWS: Final = 20
# A warning counts if it was given within this time before.
WARNED_WITHIN: Final = timedelta(days=7)
REAL: Final = frozenset({"real", "cause_found_other"})
FALSE: Final = frozenset({"false_alarm", "not_found"})


@dataclass(frozen=True, slots=True)
class _Data:
    rows: Mapping[str, Rows]
    spacing_ms: int


class UnusualBehaviour(MachineKind):
    """Whether machines of a type do what they do not usually do, since when, and where."""

    code: ClassVar[str] = Kind.ANOMALY.value
    level: ClassVar[float] = 0.7

    def readiness(self, machine_type: MachineType) -> Readiness:
        ids = [m.pk for m in datasets.machines_of(machine_type)]
        hours = telemetry_selectors.hours_heard(ids)
        missing = max(0, HOURS_NEEDED - int(hours))
        if missing:
            message = (
                f"Not enough data: needs about {missing} more hour{'s' if missing != 1 else ''} "
                f"of readings ({int(hours)} of {HOURS_NEEDED} known). Until then each signal is "
                "judged by itself."
            )
        else:
            message = f"{int(hours):,} hours of readings are known: a model can be trained."
        return Readiness(not missing, int(hours), HOURS_NEEDED, message)

    def snapshot(self, machine_type: MachineType, *, at: datetime) -> Snapshot:
        machines = [m for m in datasets.machines_of(machine_type) if m.state != "retired"]
        recordings = {
            m: datasets.recording_of(m, meter_key="", start=at - LOOK_BACK, end=at)
            for m in machines
        }
        heard = {m: r for m, r in recordings.items() if len(r.times) > 1}
        seen: dict[str, int] = {}
        for recording in heard.values():
            for key in recording.columns:
                seen[key] = seen.get(key, 0) + 1
        meter = machine_type.life_meter_key
        signals = sorted(key for key, n in seen.items() if 2 * n >= len(heard) and key != meter)
        spacing_ms = spacing_of(list(heard.values()))
        rows: dict[str, Rows] = {}
        if signals:
            for machine, recording in heard.items():
                whole = rows_of(recording, signals=signals, spacing_ms=spacing_ms)
                kept = usual_rows(machine, whole, at=at)
                if len(kept):
                    rows[str(machine.pk)] = kept
        return Snapshot(
            digest=digest_of(rows, signals),
            cases=sorted(_days(rows), key=lambda case: (case.ended_at, case.key)),
            signals=signals,
            unit="",
            facts={
                "n_machines": len(rows),
                "n_rows": sum(len(one) for one in rows.values()),
                "n_known": self.readiness(machine_type).n_known,
            },
            data=_Data(rows, spacing_ms),
        )

    def train(self, snapshot: Snapshot, *, progress: Progress) -> Trained:
        data: _Data = snapshot.data
        if not data.rows:
            raise NotReady("Not enough data: no machine of this type has run lately.")
        values = {key: rows.values for key, rows in data.rows.items()}
        early = {key: v[: round((1.0 - HELD_BACK) * len(v))] for key, v in values.items()}
        progress(0.1, "Learning from the earlier part")
        try:
            earlier = fleet.fit(early, signals=snapshot.signals, spacing_ms=data.spacing_ms)
            progress(0.5, "Judging by the latest part")
            held_back = self.losses(earlier, snapshot, _late_keys(data.rows))
            progress(0.6, "Learning from all of it")
            whole = fleet.fit(values, signals=snapshot.signals, spacing_ms=data.spacing_ms)
        except TooFewRows as error:
            raise NotReady(str(error)) from error
        share = float(np.mean(list(held_back.values()))) if held_back else 0.0
        return Trained(
            model=whole,
            metrics={
                "false_alarm_share": share,
                "n_rows": float(sum(len(v) for v in values.values())),
                "n_machines": float(len(values)),
                "n_regimes": float(len(whole.detector.baseline.regimes)),
            },
            parameters={"spacing_ms": data.spacing_ms, "rate": whole.detector.rate},
            losses=held_back,
            baseline={},
            held_back=held_back,
            weaknesses=_weaknesses(data, snapshot),
        )

    def worth(self, version: ModelVersion) -> Worth:
        share = float(version.metrics.get("false_alarm_share", 0.0))
        told = f"On usual running that it had not seen it called {share:.1%} of the time unusual"
        if share <= MOST_FALSE:
            return Worth(True, f"The first of its type. {told}.", {"false_alarm_share": share})
        reason = f"{told}, where {MOST_FALSE:.0%} is the most that is served. No model is served."
        return Worth(False, reason, {"false_alarm_share": share})

    def pack(self, model: Fleet) -> Bundle:
        return fleet.pack(model)

    def unpack(self, bundle: Bundle) -> Fleet:
        return fleet.unpack(bundle)

    def losses(self, model: Fleet, snapshot: Snapshot, keys: Sequence[str]) -> dict[str, float]:
        """Return day of a machine -> the part of it that is called unusual."""
        wanted, data = set(keys), snapshot.data
        places = [snapshot.signals.index(s) for s in model.detector.signals
                  if s in snapshot.signals]  # fmt: skip
        if len(places) != len(model.detector.signals):
            return {}
        found: dict[str, float] = {}
        for machine, rows in data.rows.items():
            values = model.aligned(machine, rows.values[:, places])
            unusual = model.detector.score(values).is_anomalous
            for key, where in _by_day(machine, rows).items():
                if key in wanted:
                    found[key] = float(unusual[where].mean())
        return found

    def predict(self, model: Fleet, machine: Machine, *, at: datetime) -> Prediction:
        rows = _latest(machine, model.detector.signals, model.spacing_ms, at)
        if len(rows) < RECENT_ROWS:
            state = Prediction.State.NOT_ENOUGH_DATA
            message = f"Not enough data: {machine.name} has hardly run lately."
            return self.unsaid(machine, at=at, state=state, message=message)
        values = model.aligned(str(machine.pk), rows.values)
        scores = model.detector.score(values)
        found = episodes(scores.score)
        open_ = found[-1] if found and found[-1].until is None else None
        told: list[tuple[str, Finding, float]] = []
        if open_ is not None:
            names = datasets.names_of(machine)
            times = [rows.at(i) for i in range(len(rows))]
            told = [
                (names_key, finding, 1.0)
                for names_key, finding in zip(
                    _strongest_keys(model, scores, open_),
                    findings(
                        detector=model.detector, values=values, times=times, scores=scores,
                        episode=open_, names=names,
                    ),
                    strict=False,
                )
            ]  # fmt: skip
        now = health(model.detector.baseline, values[-RECENT_ROWS:])
        if open_ is None:
            told = _outliers(model.detector.signals, now, model.detector.baseline, machine)
        return Prediction(
            kind=self.code, machine=machine, made_at=at, level=self.level,
            state=Prediction.State.OK, score=float(scores.score[-RECENT_ROWS // 2 :].max()),
            health=now.index, since=rows.at(open_.since) if open_ else None,
            reasons=_reasons(told, at),
        )  # fmt: skip

    def without_model(self, machine: Machine, *, at: datetime, message: str) -> Prediction:
        """Judge each signal by what was usual for this machine so far."""
        recording = datasets.recording_of(machine, meter_key="", start=at - LOOK_BACK, end=at)
        meter = machine.machine_type.life_meter_key
        signals = sorted(key for key in recording.columns if key != meter)
        spacing_ms = spacing_of([recording])
        rows = (
            rows_of(recording, signals=signals, spacing_ms=spacing_ms)
            if signals
            else Rows(np.zeros(0, np.int64), np.zeros((0, 0)))
        )
        try:
            baseline = Baseline.fit(rows.values[:-RECENT_ROWS])
        except TooFewRows:
            state = Prediction.State.NOT_ENOUGH_DATA
            words = "Not enough data: the first hour of running tells what is usual."
            return self.unsaid(machine, at=at, state=state, message=words)
        now = health(baseline, rows.values[-RECENT_ROWS:])
        told = _outliers(signals, now, baseline, machine)
        return Prediction(
            kind=self.code, machine=machine, made_at=at, level=self.level,
            state=Prediction.State.OK, health=now.index, message=message[:500],
            score=abs(now.deviations[0].z) / OUTLIER if now.deviations else 0.0,
            reasons=_reasons(told, at),
        )  # fmt: skip

    def unsaid(self, machine: Machine, *, at: datetime, state: str, message: str) -> Prediction:
        return Prediction(
            kind=self.code, machine=machine, made_at=at, level=self.level, state=state,
            message=message[:500],
        )  # fmt: skip

    def turned(self, version: ModelVersion, machine: Machine, *, at: datetime) -> list[Turned]:
        """Judge warnings by technicians' verdicts, and silence by the failures that came.

        "Prevented" proves neither: its outcome is not known.
        """
        known = {row.case_key for row in version.outcomes.filter(machine=machine)}
        found, told = [], set()
        for verdict in production_selectors.verdicts(machine_type_id=machine.machine_type_id):
            told.add(verdict.failure_id)  # what a verdict speaks of is one case, not two
            key = f"order-{verdict.order_id}"
            is_real = verdict.verdict in REAL
            if verdict.machine_id != machine.pk or key in known or not (
                is_real or verdict.verdict in FALSE
            ):  # fmt: skip
                continue
            turned = _turned(version, machine, key, verdict.found_at, verdict.judged_at, is_real)
            found += [turned] if turned else []
        for failure in production_selectors.failures([machine.pk]):
            key = f"failure-{failure.pk}"
            if (
                failure.pk in told
                or key in known
                or not version.created_at < failure.failed_at <= at
            ):
                continue
            turned = _turned(version, machine, key, failure.failed_at, failure.failed_at, True)
            found += [turned] if turned else []
        return found

    def watched(self, model: Fleet, machine: Machine, *, at: datetime) -> Watched | None:
        """What it is fed is what it judges: a drifting signal is its finding already."""
        return None


def _turned(
    version: ModelVersion, machine: Machine, key: str, at: datetime, known_at: datetime,
    is_real: bool,
) -> Turned | None:  # fmt: skip
    said = version.predictions.filter(
        machine=machine, state=Prediction.State.OK, made_at__lte=at,
        made_at__gt=at - WARNED_WITHIN,
    )  # fmt: skip
    flags = list(said.order_by("made_at").values_list("since", flat=True))
    if not flags:
        return None
    warned = any(since is not None for since in flags)
    return Turned(key, known_at, len(flags), float(warned != is_real), warned == is_real)


def _latest(machine: Machine, signals: Sequence[str], spacing_ms: int, at: datetime) -> Rows:
    """Return the last rows that were made at work, at most 400."""
    start = at - max(timedelta(milliseconds=3 * SCORED_ROWS * spacing_ms), timedelta(hours=1))
    recording = datasets.recording_of(
        machine, meter_key="", start=max(start, at - LOOK_BACK), end=at
    )
    if not len(recording.times):
        return Rows(np.zeros(0, np.int64), np.zeros((0, len(signals))))
    rows = rows_of(recording, signals=signals, spacing_ms=spacing_ms)
    return rows.where(np.arange(max(0, len(rows) - SCORED_ROWS), len(rows)))


def _strongest_keys(model: Fleet, scores: Scores, episode: Episode) -> list[str]:
    return [model.detector.signals[i] for i in strongest(scores.contributions, episode)]


def _outliers(
    signals: Sequence[str], now: Health, baseline: Baseline, machine: Machine
) -> list[tuple[str, Finding, float]]:
    """Return the three signals that lie farthest out by themselves."""
    far = [d for d in now.deviations[:3] if abs(d.z) > OUTLIER]
    if not far:
        return []
    names = datasets.names_of(machine)
    return [
        (signals[d.signal], _deviation(signals[d.signal], d, baseline, names), abs(d.z))
        for d in far
    ]


def _deviation(
    key: str, deviation: Deviation, baseline: Baseline, names: Mapping[str, SignalName]
) -> Finding:
    return Finding(
        name=names.get(key, SignalName(key)),
        value=deviation.value,
        usual=deviation.usual,
        centre=float(baseline.median[0, deviation.signal]),
        since=None,
        has_regimes=len(baseline.regimes) > 1,
    )


def _reasons(told: Sequence[tuple[str, Finding, float]], at: datetime) -> list[dict[str, Any]]:
    zone = ZoneInfo(current_factory().time_zone)
    total = sum(weight for _, _, weight in told) or 1.0
    return [
        {
            "signal": key,
            "share": weight / total,
            "sentence": sentence(finding, now=at, zone=zone),
            "value": finding.value,
            "usual": None if finding.usual is None else list(finding.usual),
        }
        for key, finding, weight in told
    ]


def _by_day(machine: str, rows: Rows) -> dict[str, Any]:
    days = rows.times // 86_400_000
    return {f"{machine}/{int(day)}": np.flatnonzero(days == day) for day in np.unique(days)}


def _days(rows: Mapping[str, Rows]) -> list[Case]:
    found = []
    for machine, one in rows.items():
        for key in _by_day(machine, one):
            day = int(key.rpartition("/")[2])
            ended_at = datetime.fromtimestamp((day + 1) * 86_400, UTC)
            found.append(Case(key, machine, ended_at))
    return found


def _late_keys(rows: Mapping[str, Rows]) -> list[str]:
    """Name the days that lie wholly in the last quarter of a machine's rows, or the last one."""
    found = []
    for machine, one in rows.items():
        first_late = round((1.0 - HELD_BACK) * len(one))
        days = _by_day(machine, one)
        late = [key for key, where in days.items() if where[0] >= first_late]
        found += late or [list(days)[-1]]
    return found


def _weaknesses(data: _Data, snapshot: Snapshot) -> list[str]:
    days = len({case.key.rpartition("/")[2] for case in snapshot.cases})
    found = [
        f"It looks at steps of {data.spacing_ms / 1000:g} s: what is over sooner it does not see.",
        "What was unusual all through its history is usual to it.",
    ]
    if days < 7:
        found.insert(0, f"It has seen {days} day{'s' if days != 1 else ''} only: no whole week.")
    return found
