"""Watching what serves: how its predictions turned out, and whether its inputs are still those
that it was trained on; asking for a new training when it is time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from mlops import artifacts, datasets, drift, kinds, promotion, selectors, serving
from mlops.drift import Departure
from mlops.kinds import MachineKind, ModelKind, NotReady, Watched
from mlops.maintenance.reasons import written
from mlops.models import Finding, ModelVersion, Outcome
from mlops.services import judging, proposing, training
from production import selectors as production_selectors
from production.models import Machine
from tenants import storage

log = structlog.get_logger()

CALENDAR = timedelta(days=30)
# The intervals have to be this unlikely before they are said to hold no longer.
CALIBRATION_ALPHA = 0.01
# Of a fleet this part may be flagged at once; more than that beyond chance has one cause.
USUALLY_FLAGGED = 0.2
FLEET_ALPHA = 0.01
MIN_FLEET = 4
LABELS_WITHIN = timedelta(days=30)
MIN_WAITING = 3


def watch(*, version_id: UUID, at: datetime) -> dict[str, int]:
    """Look once at what a version in service does; return what was found, in numbers.

    Raises:
        ModelVersion.DoesNotExist: not in this factory.
    """
    version = ModelVersion.objects.get(pk=version_id)
    done = {"outcomes": 0, "decisions": 0, "findings": 0, "trainings": 0}
    if version.alias != ModelVersion.Alias.CHAMPION:
        return done
    done["outcomes"] = settle(version=version, at=at)
    decided = judging.consider(subject_id=version.subject_id, kind=version.kind, at=at)
    if decided:
        done["decisions"] = 1
        return done
    done["findings"] = look(version=version, at=at)
    done["trainings"] = int(_ask_for_training(kinds.of(version.kind), version, at))
    return done


def settle(*, version: ModelVersion, at: datetime) -> int:
    """Write down how predictions turned out, of the version in service and those beside it."""
    kind, n_new = kinds.of(version.kind), 0
    beside = selectors.beside(subject_id=version.subject_id, kind=version.kind)
    for one in (version, *beside):
        for turned in kind.outcomes(one, at=at):
            _row, is_new = Outcome.objects.get_or_create(
                version=one,
                case_key=turned.case_key,
                defaults={
                    "machine": turned.machine,
                    "slice": turned.slice,
                    "known_at": turned.known_at,
                    "was_serving": one.pk == version.pk,
                    "n_predictions": turned.n_predictions,
                    "loss": turned.loss,
                    "is_right": turned.is_right,
                },
            )
            n_new += is_new
    return n_new


def look(*, version: ModelVersion, at: datetime, machines: Sequence[Machine] | None = None) -> int:
    """Look for drift and for intervals that hold no longer; return how many findings are new.

    Args:
        machines: those to look at; all that the version is asked about if not given.
    """
    kind = kinds.of(version.kind)
    found = [*_calibration(kind, version), *kind.findings(version, at=at)]
    if isinstance(kind, MachineKind):
        looked_at = kind.machines(version) if machines is None else list(machines)
        found += _inputs(kind, version, looked_at, at)
        found += _predictions(version, looked_at)
        found += _labels(version, at)
    kept = {(f.machine_id, f.what, f.signal) for f in found}
    n_new = 0
    with transaction.atomic():
        for finding in found:
            n_new += _keep(finding, at)
        for row in Finding.objects.filter(version=version, ended_at=None):
            if (row.machine_id, row.what, row.signal) not in kept:
                Finding.objects.filter(pk=row.pk).update(ended_at=at)
    return n_new


def _keep(finding: Finding, at: datetime) -> bool:
    """Open a finding, or say that an open one still holds."""
    n_open = Finding.objects.filter(
        version=finding.version, machine=finding.machine, what=finding.what,
        signal=finding.signal, ended_at=None,
    ).update(seen_at=at, message=finding.message, evidence=finding.evidence)  # fmt: skip
    if n_open:
        return False
    finding.found_at = finding.seen_at = at
    finding.save()
    log.info("mlops.finding", what=finding.what, version_id=str(finding.version_id))
    return True


def _calibration(kind: ModelKind, version: ModelVersion) -> list[Finding]:
    rows = version.outcomes.filter(was_serving=True)
    n, n_right = rows.count(), rows.filter(is_right=True).count()
    p = promotion.too_rarely_right(n_right, n, kind.level)
    if n < promotion.MIN_CASES or p > CALIBRATION_ALPHA:
        return []
    message = f"Right {n_right} of {n} times, where {kind.level:.0%} was promised."
    evidence = {"n": n, "n_right": n_right, "level": kind.level, "p": p}
    return [
        Finding(version=version, what=Finding.What.CALIBRATION, message=message, evidence=evidence)
    ]


def _inputs(
    kind: MachineKind, version: ModelVersion, machines: list[Machine], at: datetime
) -> list[Finding]:
    try:
        model = serving.load(version)
    except (artifacts.ArtifactRefused, storage.StorageUnavailable):
        return []  # scoring says so
    found: list[Finding] = []
    for machine in machines:
        watched = kind.watched(model, machine, at=at)
        if watched is None:
            continue
        departures = drift.departures(watched.reference, watched.recent, n_machines=len(machines))
        found += [_finding(version, machine, watched, departure) for departure in departures]
    return found


def _predictions(version: ModelVersion, machines: list[Machine]) -> list[Finding]:
    """Find so many machines flagged at once that it is hardly each by itself."""
    ids = [machine.pk for machine in machines]
    latest = selectors.latest_predictions(ids, kind=version.kind).values()
    said = [row for row in latest if row.version_id == version.pk and row.state == "ok"]
    n_flagged = sum(proposing.calls_for_work(row) for row in said)
    p = promotion.so_often(n_flagged, len(said), USUALLY_FLAGGED)
    if len(said) < MIN_FLEET or p > FLEET_ALPHA:
        return []
    message = (
        f"{n_flagged} of {len(said)} machines are flagged at once. Something that they share has "
        "changed, a material, the room, or the model no longer fits: look there first."
    )
    evidence = {"n": len(said), "n_flagged": n_flagged, "p": p}
    what = Finding.What.PREDICTION_DRIFT
    return [Finding(version=version, what=what, message=message, evidence=evidence)]


def _labels(version: ModelVersion, at: datetime) -> list[Finding]:
    """Find proposals that nobody has judged for so long that the track record stands still."""
    waiting = production_selectors.open_orders().filter(
        source="prediction", created_at__lt=at - LABELS_WITHIN,
        machine__machine_type_id=version.machine_type_id,
    )  # fmt: skip
    n_waiting = waiting.count()
    if n_waiting < MIN_WAITING:
        return []
    message = (
        f"{n_waiting} proposed work orders have had no verdict for {LABELS_WITHIN.days} days: "
        "without verdicts nobody knows how good the model is, and it learns nothing."
    )
    what, evidence = Finding.What.LABELS, {"n_waiting": n_waiting}
    return [Finding(version=version, what=what, message=message, evidence=evidence)]


def _finding(
    version: ModelVersion, machine: Machine, watched: Watched, departure: Departure
) -> Finding:
    keys = [watched.signals[column] for column in departure.columns]
    names = datasets.names_of(machine)
    labels = [names[key].label if key in names else key for key in keys]
    low, high = departure.usual
    if departure.what == drift.What.NEW_REGIME:
        message = (
            f"{machine.name} is run in a way that the model has not learned: "
            f"{', '.join(labels[:3])} left their ranges together. No signal has drifted."
        )
    else:
        side = "above" if departure.side > 0 else "below"
        message = (
            f"{labels[0]} of {machine.name} is at {written(departure.value)}, {side} all that "
            f"the model was trained on ({written(low)} to {written(high)}): check the sensor."
        )
    evidence: dict[str, Any] = {
        "signals": keys, "share": departure.share, "p": departure.p_value,
        "value": departure.value, "usual": [low, high],
    }  # fmt: skip
    signal = keys[0] if departure.what == drift.What.DRIFT else ""
    return Finding(
        version=version, machine=machine, what=str(departure.what), signal=signal[:128],
        message=message[:500], evidence=evidence,
    )  # fmt: skip


def _ask_for_training(kind: ModelKind, version: ModelVersion, at: datetime) -> bool:
    """Ask for a new training when there is something new to learn; say whether it was."""
    trained_until = datetime.fromisoformat(str(version.trained_on["until"]))
    newest = selectors.newest_version(subject_id=version.subject_id, kind=version.kind)
    if newest is not None and newest.pk != version.pk:
        trained_until = max(trained_until, newest.created_at)
    n_known = kind.readiness(kinds.subject_of(version)).n_known
    # What is known but cannot be used (a life without readings) is nothing new each time.
    facts = (newest or version).trained_on
    n_learned = int(facts.get("n_known", facts.get("n_lives", 0)))
    n_new = n_known - n_learned
    wanted = max(training.MIN_NEW_CASES, round(training.NEW_CASES * n_learned))
    if n_new >= wanted:
        reason = f"{n_new} new cases since the last training."
    elif n_new > 0 and at - trained_until >= CALENDAR:
        reason = f"{n_new} new cases, and 30 days since the last training."
    elif n_new > 0 and _has_drifted(version):
        reason = f"{n_new} new cases, and what it is fed has changed."
    else:
        return False
    try:
        training.request_training(
            subject_id=version.subject_id, by=None, kind=version.kind, reason=reason
        )
    except NotReady:
        return False
    return True


def _has_drifted(version: ModelVersion) -> bool:
    rows: QuerySet[Finding] = Finding.objects.filter(version=version, ended_at=None)
    return rows.exclude(found_at=F("seen_at")).exists()
