"""Failures, models and predictions of the demonstration, the way customers get them."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from config.demo.machines import TypeSpec
from config.demo.report import LinkFailed, Report
from config.demo.simulator import Breakdown
from mlops import kinds
from mlops import selectors as mlops_selectors
from mlops import services as mlops_services
from production import selectors as production_selectors
from production import services as production_services
from production.models import Failure
from tenants.models import Job, User

TRAINING_TIMEOUT_S = 600.0
SAY_EVERY_S = 4.0
IN_SERVICE = 0.97  # the progress that mlops reports once a model serves
MECHANISMS = {
    "vibration": Failure.Mechanism.MECHANICAL,
    "overheating": Failure.Mechanism.MECHANICAL,
    "breakdown": Failure.Mechanism.MATERIAL,
    "leak": Failure.Mechanism.MATERIAL,
    "low_output": Failure.Mechanism.MECHANICAL,
}
SOURCE = "maintenance log"


def record_breakdown(machine_id: UUID, spec: TypeSpec, breakdown: Breakdown) -> None:
    """Write a breakdown down as maintenance would, with the four fields of ISO 14224."""
    production_services.record_failure(
        machine_id=machine_id,
        failed_at=breakdown.failed_at,
        restored_at=breakdown.restored_at,
        mode=spec.failure_mode,
        mechanism=MECHANISMS[spec.failure_mode],
        cause=Failure.Cause.OPERATION,
        component=spec.component,
        note=spec.failure_note,
        source=SOURCE,
    )


def record_missing(
    breakdowns: Mapping[UUID, tuple[TypeSpec, Iterable[Breakdown]]],
) -> int:
    """Record the breakdowns that are not in the database yet; return how many these were."""
    known = {
        (failure.machine_id, failure.failed_at)
        for failure in production_selectors.failures(list(breakdowns))
    }
    n_new = 0
    for machine_id, (spec, happened) in breakdowns.items():
        for breakdown in happened:
            if (machine_id, breakdown.failed_at) not in known:
                record_breakdown(machine_id, spec, breakdown)
                n_new += 1
    return n_new


def request(type_names: Iterable[str], *, by: User) -> dict[str, Job]:
    """Have the worker train one model a machine type; return the jobs by type.

    Raises:
        LinkFailed: a training was refused; its own words are given.
    """
    ids = {kind.name: kind.pk for kind in production_selectors.machine_types()}
    jobs = {}
    for name in type_names:
        try:
            jobs[name] = mlops_services.request_training(subject_id=ids[name], by=by)
        except mlops_services.NotReady as refusal:
            raise LinkFailed("model", f"{name}: {refusal}") from refusal
    return jobs


def request_of_plans(
    subjects: Mapping[str, tuple[str, UUID]], *, by: User, again: bool
) -> dict[str, Job]:
    """Have the worker train one model an inspection plan; return the jobs by name.

    Args:
        subjects: name -> kind of model and plan.
        again: also where there is a model.

    Raises:
        LinkFailed: a training was refused; its own words are given.
    """
    jobs = {}
    for name, (kind, plan_id) in subjects.items():
        if not again and mlops_selectors.champion(subject_id=plan_id, kind=kind) is not None:
            continue
        try:
            jobs[name] = mlops_services.request_training(subject_id=plan_id, kind=kind, by=by)
        except mlops_services.NotReady as refusal:
            raise LinkFailed("inspection", f"{name}: {refusal}") from refusal
    return jobs


def wait(jobs: Mapping[str, Job], *, report: Report, until_recorded: bool = True) -> None:
    """Wait until every training has ended well, and say now and then how far they are.

    A model serves before its run is in MLflow's book; without `until_recorded` that is enough.

    Raises:
        LinkFailed: a training failed or takes too long.
    """
    waiting, deadline = dict(jobs), time.monotonic() + TRAINING_TIMEOUT_S
    said_at = time.monotonic()
    while waiting:
        if time.monotonic() > deadline:
            raise LinkFailed("model", f"training of {', '.join(waiting)} took too long")
        for name, job in list(waiting.items()):
            job.refresh_from_db()
            if job.state in {Job.State.FAILED, Job.State.DEAD}:
                raise LinkFailed("model", f"{name}: {job.message or job.error}")
            is_serving = job.progress >= IN_SERVICE and not until_recorded
            if job.state == Job.State.DONE or is_serving:
                del waiting[name]
        if time.monotonic() - said_at > SAY_EVERY_S:
            said_at = time.monotonic()
            for name, job in waiting.items():
                told = job.message.lower() or "waiting for the worker"
                report.progress(f"model of {name}: {job.progress:.0%}, {told}")
        time.sleep(0.2)


def has_model(type_name: str) -> bool:
    """Say whether a machine type has a model in service."""
    kind = next(t for t in production_selectors.machine_types() if t.name == type_name)
    return mlops_selectors.champion(subject_id=kind.pk) is not None


def in_service(type_names: Iterable[str]) -> list[str]:
    """Describe the model in service of each machine type."""
    out = []
    for kind in production_selectors.machine_types():
        version = mlops_selectors.champion(subject_id=kind.pk)
        if kind.name not in set(type_names) or version is None:
            continue
        n_lives, took_s = version.trained_on.get("n_lives"), version.parameters.get("took_s")
        out.append(f"{kind.name} {version.version} from {n_lives} lives in {took_s} s")
    return out


def score(machine_ids: Iterable[UUID], *, at: datetime) -> None:
    """Judge machines as of `at` as the clock does, and propose the work that it calls for."""
    ids = list(machine_ids)
    for kind in kinds.codes_of_machines():
        mlops_services.propose(mlops_services.score_machines(machine_ids=ids, at=at, kind=kind))


def begin() -> None:
    """Have the worker learn what the history allows beside what was waited for."""
    mlops_services.begin_where_ready()
