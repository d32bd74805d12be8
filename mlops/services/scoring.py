"""Asking models about machines: the one in service, and beside it those that are being tried."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from uuid import UUID

import structlog

from mlops import artifacts, datasets, kinds, selectors, serving
from mlops.kinds import MachineKind
from mlops.models import Kind, Prediction
from production import selectors as production_selectors
from production.models import Machine, MachineType
from telemetry import selectors as telemetry_selectors
from tenants import storage

log = structlog.get_logger()

# What was received before this, seen from a prediction, was visible to it.
COMMITTED_WITHIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Unserved:
    """Why a machine type has no model to ask."""

    state: Prediction.State
    message: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked about the machines of one type."""

    served: serving.Served | _Unserved
    beside: Sequence[serving.Served]


def score_machines(
    *, machine_ids: Sequence[UUID], at: datetime, kind: str = Kind.REMAINING_LIFE
) -> list[Prediction]:
    """Predict for machines, or write down why that cannot be done.

    A machine that did nothing since its last prediction keeps that one, and where its devices
    have sent nothing since, its readings are not even read. Versions on trial and standing by
    are asked too; what they say is kept for comparison and shown to nobody.

    Raises:
        Machine.DoesNotExist: one of them is not in this factory.
    """
    machines = {m.pk: m for m in production_selectors.machines().filter(pk__in=machine_ids)}
    if missing := set(machine_ids) - set(machines):
        raise Machine.DoesNotExist(f"{len(missing)} of these machines do not exist.")
    datasets.look_up(list(machines.values()))
    latest = selectors.latest_predictions(list(machines), kind=kind)
    silent = _silent(machines.values(), latest)
    asked: dict[UUID, _Asked] = {}
    model_kind = kinds.of_machines(kind)
    result = []
    for machine in machines.values():
        type_id = machine.machine_type_id
        if type_id not in asked:
            asked[type_id] = _asked(model_kind, machine.machine_type)
        known = latest.get(machine.pk)
        if known is not None and machine.pk in silent and _is_of(known, asked[type_id].served):
            result.append(known)
            continue
        prediction = _predict(model_kind, machine, asked[type_id].served, at)
        if known is not None and _says_the_same(known, prediction):
            result.append(known)
            continue
        prediction.save()
        result.append(prediction)
        _predict_beside(model_kind, machine, asked[type_id].beside, at)
    return result


def _silent(machines: Collection[Machine], latest: Mapping[UUID, Prediction]) -> set[UUID]:
    """Return the machines of which nothing new can be known since their last prediction.

    A machine with a device that has never sent by itself is not among them: its readings came in
    some other way.
    """
    devices = {m.pk: [device.pk for device, _ in datasets.devices_of(m)] for m in machines}
    received = telemetry_selectors.last_received(chain.from_iterable(devices.values()))
    found = set()
    for machine in machines:
        known = latest.get(machine.pk)
        if known is None or not devices[machine.pk]:
            continue
        since = known.made_at - COMMITTED_WITHIN
        happened: list[datetime | None] = [received.get(pk) for pk in devices[machine.pk]]
        for failure in datasets.failures_of(machine):
            times = (failure.recorded_at, failure.failed_at, failure.restored_at)
            happened += [time for time in times if time is not None]
        if all(time is not None and time < since for time in happened):
            found.add(machine.pk)
    return found


def _is_of(known: Prediction, served: serving.Served | _Unserved) -> bool:
    """Tell whether a prediction is of the version that serves, under the same note."""
    if isinstance(served, _Unserved) or known.version_id != served.version.pk:
        return False
    return known.state == Prediction.State.NOT_ENOUGH_DATA or known.message == served.note[:500]


def _asked(kind: MachineKind, machine_type: MachineType) -> _Asked:
    candidates = selectors.serving_order(subject_id=machine_type.pk, kind=kind.code)
    if not candidates:
        message = kind.readiness(machine_type).message
        return _Asked(_Unserved(Prediction.State.NOT_ENOUGH_DATA, message), ())
    try:
        served: serving.Served | _Unserved = serving.serve(candidates)
    except serving.NoModel as error:
        served = _Unserved(Prediction.State.REFUSED, str(error))
    beside = []
    for version in selectors.beside(subject_id=machine_type.pk, kind=kind.code):
        if isinstance(served, serving.Served) and served.version.pk == version.pk:
            continue  # it has stepped in for the one in service
        try:
            beside.append(serving.Served(version, serving.load(version)))
        except (artifacts.ArtifactRefused, storage.StorageUnavailable) as error:
            log.warning("mlops.trial.not_asked", version_id=str(version.pk), reason=str(error))
    return _Asked(served, beside)


def _predict(
    kind: MachineKind, machine: Machine, served: serving.Served | _Unserved, at: datetime
) -> Prediction:
    if isinstance(served, _Unserved) and served.state == Prediction.State.NOT_ENOUGH_DATA:
        return kind.without_model(machine, at=at, message=served.message)
    if isinstance(served, _Unserved):
        return kind.unsaid(machine, at=at, state=served.state, message=served.message)
    prediction = kind.predict(served.model, machine, at=at)
    prediction.version, prediction.unit = served.version, served.version.unit
    prediction.message = prediction.message or served.note[:500]
    return prediction


def _predict_beside(
    kind: MachineKind, machine: Machine, beside: Sequence[serving.Served], at: datetime
) -> None:
    for served in beside:
        prediction = _predict(kind, machine, served, at)
        if prediction.state == Prediction.State.OK:
            prediction.is_shadow = True
            prediction.save()


def _says_the_same(known: Prediction, new: Prediction) -> bool:
    """Tell whether nothing happened since: same model, same use, same words."""
    return (
        known.state == new.state
        and known.version_id == new.version_id
        and known.message == new.message
        and known.usage_at == new.usage_at
        and known.score == new.score
        and known.since == new.since
    )
