"""Training: asked for, done once, stored, judged, written into MLflow's book."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from mlops import artifacts, kinds, registry, selectors, serving
from mlops.artifacts import Identity
from mlops.kinds import ModelKind, NotReady, Snapshot, Subject, Trained
from mlops.models import Kind, ModelVersion, VersionEvent
from mlops.services import judging
from tenants import audit, jobs, names, storage
from tenants.context import current_factory, current_schema
from tenants.models import FactoryLimits, Job, User

log = structlog.get_logger()

Report = Callable[[float, str], None]

RECORD_AGAIN_AFTER = timedelta(minutes=2)
MAX_WRITES = 3
# A new training is due with so many new cases, in parts of those it had, and at least this many.
NEW_CASES = 0.2
MIN_NEW_CASES = 3


def request_training(
    *, subject_id: UUID, by: User | None, kind: str = Kind.REMAINING_LIFE, reason: str = ""
) -> Job:
    """Queue the training of a subject's model (of a machine type, an inspection plan).

    A training that is already waiting or running is returned instead of a second one.

    Raises:
        ObjectDoesNotExist: not in this factory.
        NotReady: the history does not support one, or the plan has no more this month.
    """
    model_kind = kinds.of(kind)
    subject = model_kind.subject(subject_id)
    readiness = model_kind.readiness(subject)
    if not readiness.is_ready:
        raise NotReady(readiness.message)
    factory = current_factory()
    with transaction.atomic():
        _check_plan(_key(kind, subject.pk))
        job = jobs.enqueue(
            task="mlops.train",
            kwargs={"subject_id": str(subject.pk), "kind": str(kind), "reason": reason},
            factory=factory,
            key=_key(kind, subject.pk),
        )
        audit.record(
            action="model.training_requested", actor=by, target=model_kind.name_of(subject)[:120],
            factory=factory,
        )  # fmt: skip
    return job


def _check_plan(key: str) -> None:
    """Refuse a training beyond the plan's number a month; the factory's row of limits is locked,
    so that requests at once cannot pass it. What was refused or cancelled does not count."""
    factory = current_factory()
    limits = FactoryLimits.objects.select_for_update().get(factory=factory)
    if limits.read_only:
        raise NotReady(
            "The factory is read-only because a payment is missing, so nothing is trained. Models"
            " in service go on judging."
        )
    most = limits.trainings_per_month
    if most is None or jobs.open_job(factory=factory, key=key) is not None:
        return
    month = timezone.now().astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    asked = Job.objects.filter(factory=factory, task="mlops.train", created_at__gte=month)
    if asked.exclude(state=Job.State.FAILED).count() >= most:
        raise NotReady(
            f"Your plan covers {most} trainings a month, and this month's are used. The next are "
            "possible from the first of the next month; a larger plan makes room at once."
        )


def begin_where_ready() -> int:
    """Ask for a model of each kind and subject that has none in service and whose history allows
    one; return how many.

    Where a version was not worth serving, it is tried again once there is more to learn from.
    """
    n_asked = 0
    for code in kinds.codes():
        kind = kinds.of(code)
        for subject in kind.subjects():
            readiness = kind.readiness(subject)
            if not readiness.is_ready or not _is_worth_a_try(code, subject, readiness.n_known):
                continue
            try:
                request_training(
                    subject_id=subject.pk, by=None, kind=code,
                    reason="None is in service, and there is enough history now.",
                )  # fmt: skip
            except NotReady as refusal:
                log.info("mlops.training.not_begun", reason=str(refusal))
                continue
            n_asked += 1
    return n_asked


def _is_worth_a_try(kind: str, subject: Subject, n_known: int) -> bool:
    newest = selectors.newest_version(subject_id=subject.pk, kind=kind)
    if newest is None:
        return True
    if selectors.champion(subject_id=subject.pk, kind=kind) is not None:
        return False  # the watch asks for the next ones
    n_learned = int(newest.trained_on.get("n_known", n_known))
    return n_known - n_learned >= max(MIN_NEW_CASES, round(NEW_CASES * n_learned))


def cancel_training(*, subject_id: UUID, by: User | None, kind: str = Kind.REMAINING_LIFE) -> bool:
    """End a training that waits or runs; say whether there was one.

    Raises:
        ObjectDoesNotExist: not in this factory.
    """
    subject = kinds.of(kind).subject(subject_id)
    factory = current_factory()
    with transaction.atomic():
        was_there = jobs.cancel(factory=factory, key=_key(kind, subject.pk))
        if was_there:
            audit.record(
                action="model.training_cancelled", actor=by,
                target=kinds.of(kind).name_of(subject)[:120], factory=factory,
            )  # fmt: skip
    return was_there


def open_training(*, subject_id: UUID, kind: str) -> Job | None:
    """Return the training of a subject that waits or runs."""
    return jobs.open_job(factory=current_factory(), key=_key(kind, subject_id))


def _key(kind: str, subject_id: UUID) -> str:
    return f"train-{kind}-{subject_id}"


def train(
    *,
    subject_id: UUID,
    job_id: UUID,
    report: Report,
    kind: str = Kind.REMAINING_LIFE,
    reason: str = "",
) -> dict[str, Any]:
    """Train, store, judge and record one model. Repeating a job, from wherever it was cut off,
    completes it and makes no second version.

    Raises:
        ObjectDoesNotExist: not in this factory.
        NotReady: the history does not support a model; nothing changed.
        StorageUnavailable: the artifact could not be stored; nothing changed.
    """
    model_kind = kinds.of(kind)
    subject = model_kind.subject(subject_id)
    version = ModelVersion.objects.filter(job_id=job_id).first()
    if version is None:
        started = timezone.now()
        report(0.01, "Reading history")
        snapshot = model_kind.snapshot(subject, at=started)
        trained = model_kind.train(
            snapshot, progress=lambda share, message: report(0.05 + 0.85 * share, message)
        )
        report(0.92, "Storing the model")
        version = _store(model_kind, subject, snapshot, trained, job_id, started, reason)
    _remove_leftovers(version)
    report(0.95, "Comparing it with the one in service")
    judging.judge(version=version, at=timezone.now())
    report(0.97, "Recording the run")
    _record_soon(version)
    version.refresh_from_db()
    return {
        "version": version.version,
        "version_id": str(version.pk),
        "alias": version.alias,
        "metrics": version.metrics,
        "trained_on": version.trained_on,
        "took_s": version.parameters.get("took_s"),
    }


def _store(
    kind: ModelKind, subject: Subject, snapshot: Snapshot, trained: Trained,
    job_id: UUID, at: datetime, reason: str,
) -> ModelVersion:  # fmt: skip
    """Store the artifact, then its row: a version without its artifact never exists."""
    rows = selectors.versions_of(subject_id=subject.pk, kind=kind.code)
    number = (rows.aggregate(newest=Max("version"))["newest"] or 0) + 1
    identity = Identity(current_schema(), kind.code, str(subject.pk), number)
    blob = artifacts.seal(kind.pack(trained.model), identity=identity, key=settings.ARTIFACT_KEY)
    digest = artifacts.digest(blob)
    key = f"{_place(kind.code, subject.pk, number)}{digest[:12]}.takt"
    storage.put_bytes(key=key, content=blob)
    took_s = round((timezone.now() - at).total_seconds(), 1)
    with transaction.atomic():
        version = ModelVersion.objects.create(
            kind=kind.code,
            version=number,
            job_id=job_id,
            artifact_key=key,
            digest=digest,
            unit=snapshot.unit,
            parameters={**trained.parameters, "took_s": took_s},
            metrics=dict(trained.metrics),
            trained_on={
                **snapshot.facts,
                "digest": snapshot.digest,
                "signals": list(snapshot.signals),
                "until": at.isoformat(),
            },
            cases=_cases(snapshot, trained),
            weaknesses=list(trained.weaknesses),
            details=dict(trained.details),
            created_at=at,
            **{kind.subject_field: subject.pk},
        )
        VersionEvent.objects.create(
            version=version, at=at, what=VersionEvent.What.TRAINED,
            reason=reason[:500] or f"Trained on {len(snapshot.cases)} cases.",
        )  # fmt: skip
    serving.keep(version, blob)
    log.info("mlops.model.stored", version_id=str(version.pk), took_s=took_s)
    return version


def _place(kind: str, subject_id: UUID, number: int) -> str:
    """Return what the key of a version's artifact begins with."""
    return names.object_key("models", kind, str(subject_id), f"{number}-")


def _remove_leftovers(version: ModelVersion) -> None:
    """Remove what an attempt stored under the version's number before it was cut off.

    Only one version bears the number, and its row names the artifact that stays. Where the store
    is away they stay too: nothing refers to them.
    """
    place = _place(version.kind, version.subject_id, version.version)
    try:
        for found in storage.objects(prefix=place):
            if found.key != version.artifact_key:
                storage.delete(key=found.key)
                log.info("mlops.model.leftover_removed", version_id=str(version.pk))
    except storage.StorageUnavailable as error:
        log.warning("mlops.model.leftovers_kept", reason=str(error))


def _cases(snapshot: Snapshot, trained: Trained) -> list[list[Any]]:
    return [
        [
            case.key, case.slice, case.ended_at.isoformat(),
            trained.losses.get(case.key), trained.baseline.get(case.key),
            trained.held_back.get(case.key),
        ]
        for case in snapshot.cases
    ]  # fmt: skip


def _record_soon(version: ModelVersion) -> None:
    """Record the run now, or leave it to a later job where MLflow is away."""
    version.refresh_from_db()
    if version.mlflow_run_id:
        return
    try:
        record_run(version_id=version.pk)
    except registry.RegistryUnavailable as error:
        log.warning("mlops.run.not_recorded", version_id=str(version.pk), reason=str(error))
        jobs.enqueue(
            task="mlops.record_run", kwargs={"version_id": str(version.pk)},
            factory=current_factory(), key=f"record-{version.pk}", delay=RECORD_AGAIN_AFTER,
        )  # fmt: skip


def record_run(*, version_id: UUID) -> str:
    """Write a version into MLflow's book unless it is there, and what it is now; return its run.

    Raises:
        ModelVersion.DoesNotExist: not in this factory.
        RegistryUnavailable: MLflow is away.
    """
    version = ModelVersion.objects.get(pk=version_id)
    for _ in range(MAX_WRITES):
        run_id, written = _written(version), version.alias
        ModelVersion.objects.filter(pk=version.pk).update(mlflow_run_id=run_id)
        version.refresh_from_db()
        # What it is may have changed meanwhile, and this job was taken for the one that says so.
        if version.alias == written:
            break
    return run_id


def _written(version: ModelVersion) -> str:
    return registry.record(
        registry.Run(
            kind=version.kind,
            subject=str(version.subject_id),
            subject_name=kinds.of(version.kind).name_of(kinds.subject_of(version)),
            version=version.version,
            artifact_key=version.artifact_key,
            digest=version.digest,
            parameters=version.parameters,
            metrics={k: float(v) for k, v in version.metrics.items()},
            data={k: v for k, v in version.trained_on.items() if k != "signals"},
            alias=version.alias,
        )
    )
