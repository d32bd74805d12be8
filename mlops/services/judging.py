"""What becomes of a version: trial, promotion, retirement, rollback, each with its reason.

A new version is compared with the one in service on cases that neither has seen. Better with
confidence and worse on no machine: it goes into service. Worse: it does not. Otherwise it is
tried: both are asked about every machine, and once the truth of enough cases is known the same
rule decides. The version that served before stands by in the same way and comes back when it
would have done better.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from mlops import artifacts, kinds, promotion, selectors, serving
from mlops.kinds import Worth
from mlops.models import ModelVersion, VersionEvent
from mlops.promotion import Comparison, Outcome
from tenants import audit, jobs, storage
from tenants.context import current_factory
from tenants.models import User

log = structlog.get_logger()

Alias = ModelVersion.Alias
What = VersionEvent.What
Evidence = Comparison | Mapping[str, Any] | None

# A trial that has not shown itself better by now is over.
MAX_TRIAL_CASES = 20


class NotPossible(Exception):
    """The version cannot be put there; says why."""


def judge(*, version: ModelVersion, at: datetime) -> None:
    """Decide what becomes of a version that was just trained; repeating it changes nothing."""
    if version.events.exclude(what=What.TRAINED).exists():
        return
    champion = selectors.champion(subject_id=version.subject_id, kind=version.kind)
    if champion is None:
        _judge_first(version, at)
        return
    if proof := kinds.of(version.kind).proof(version, champion):
        _decide(version, proof, at)
        return
    comparison = _on_unseen_cases(version, champion)
    words = f"beside version {champion.version} on {_cases(comparison)} that neither had seen"
    if comparison.outcome == Outcome.BETTER:
        _put_into_service(version, at=at, reason=f"Better {words}.", evidence=comparison)
    elif comparison.outcome == Outcome.WORSE:
        _note(version, What.NOT_PROMOTED, at, f"Worse {words}.", comparison)
    else:
        _put_on_trial(version, champion, at, comparison)


def _judge_first(version: ModelVersion, at: datetime) -> None:
    """Put a first version into service if it is worth anything."""
    _decide(version, kinds.of(version.kind).worth(version), at)


def _decide(version: ModelVersion, worth: Worth, at: datetime) -> None:
    if worth.is_given:
        _put_into_service(version, at=at, reason=worth.reason, evidence=worth.evidence)
    else:
        _note(version, What.NOT_PROMOTED, at, worth.reason, worth.evidence)


def _on_unseen_cases(version: ModelVersion, champion: ModelVersion) -> Comparison:
    """Compare on cases that ended after the champion was trained and were held back from the
    challenger; where the champion cannot be had there is nothing to compare."""
    until = str(champion.trained_on.get("until", ""))
    unseen = {
        row[0]: (row[1], row[5])
        for row in version.cases
        if row[5] is not None and datetime.fromisoformat(row[2]) > datetime.fromisoformat(until)
    }
    losses: Mapping[str, float] = {}
    if len(unseen) >= promotion.MIN_CASES:
        kind = kinds.of(version.kind)
        try:
            model = serving.load(champion)
        except (artifacts.ArtifactRefused, storage.StorageUnavailable) as error:
            log.warning("mlops.champion.not_compared", reason=str(error))
        else:
            snapshot = kind.snapshot(kinds.subject_of(version), at=version.created_at)
            losses = kind.losses(model, snapshot, list(unseen))
    return promotion.compare(
        {key: loss for key, (_, loss) in unseen.items()},
        losses,
        {key: slice_ for key, (slice_, _) in unseen.items()},
    )


def _put_on_trial(
    version: ModelVersion, champion: ModelVersion, at: datetime, comparison: Comparison
) -> None:
    reason = (
        f"Not enough cases yet to say whether it is better than version {champion.version} "
        f"({_cases(comparison)} that neither had seen): both are asked until that is clear."
    )
    with transaction.atomic():
        earlier = _locked(version).filter(alias=Alias.CHALLENGER).exclude(pk=version.pk).first()
        if earlier is not None:
            _move(earlier, Alias.NONE)
            text = f"Version {version.version} is on trial in its place."
            _note(earlier, What.RETIRED, at, text)
        _move(version, Alias.CHALLENGER)
        _note(version, What.ON_TRIAL, at, reason, comparison)


def promote(*, version_id: UUID, by: User | None, at: datetime, reason: str = "") -> ModelVersion:
    """Put a version into service because a person says so.

    Raises:
        ModelVersion.DoesNotExist: not in this factory.
        NotPossible: it is in service, or its artifact cannot be had.
    """
    version = ModelVersion.objects.get(pk=version_id)
    if version.alias == Alias.CHAMPION:
        raise NotPossible(f"Version {version.version} is in service.")
    _check_artifact(version)
    words = reason.strip() or "Put into service by hand."
    _put_into_service(version, at=at, reason=words, by=by)
    return version


def roll_back(
    *, subject_id: UUID, kind: str, by: User | None, at: datetime, reason: str
) -> ModelVersion:
    """Bring back the version that served before; return it.

    Raises:
        ObjectDoesNotExist: not in this factory.
        NotPossible: there is none, or its artifact cannot be had.
    """
    subject = kinds.of(kind).subject(subject_id)
    champion = selectors.champion(subject_id=subject.pk, kind=kind)
    earlier = selectors.served_before(subject_id=subject.pk, kind=kind)
    if champion is None or earlier is None:
        raise NotPossible("No version served before this one.")
    _check_artifact(earlier)
    _bring_back(earlier, champion, at=at, reason=reason.strip() or "Rolled back by hand.", by=by)
    return earlier


def _bring_back(
    earlier: ModelVersion, champion: ModelVersion, *, at: datetime, reason: str,
    by: User | None = None, evidence: Evidence = None,
) -> None:  # fmt: skip
    with transaction.atomic():
        _locked(champion)
        _move(champion, Alias.NONE)
        _note(champion, What.ROLLED_BACK, at, reason, evidence, by)
        _move(earlier, Alias.CHAMPION)
        text = f"Brought back when version {champion.version} was rolled back."
        _note(earlier, What.PROMOTED, at, text, evidence, by)
        _follow_up(champion, earlier, action="model.rolled_back", by=by)


def _put_into_service(
    version: ModelVersion, *, at: datetime, reason: str, by: User | None = None,
    evidence: Evidence = None,
) -> None:  # fmt: skip
    with transaction.atomic():
        rows = list(_locked(version))
        for other in rows:
            if other.pk == version.pk:
                continue
            if other.alias == Alias.CHAMPION:
                _move(other, Alias.STANDBY)
                text = f"Version {version.version} took its place; it stands by."
                _note(other, What.RETIRED, at, text, None, by)
            elif other.alias != Alias.NONE:
                _move(other, Alias.NONE)
        _move(version, Alias.CHAMPION)
        _note(version, What.PROMOTED, at, reason, evidence, by)
        _follow_up(version, *[row for row in rows if row.alias], action="model.promoted", by=by)
    log.info("mlops.model.in_service", version_id=str(version.pk))


def consider(*, subject_id: UUID, kind: str, at: datetime) -> str:
    """Decide by what has turned out since: trial won or lost, rollback. Return what was done."""
    champion = selectors.champion(subject_id=subject_id, kind=kind)
    if champion is None:
        return ""
    for other in selectors.beside(subject_id=subject_id, kind=kind):
        comparison = compare_on_outcomes(other, champion)
        if other.alias == Alias.STANDBY:
            if done := _consider_standby(other, champion, comparison, at):
                return done
        elif done := _consider_challenger(other, champion, comparison, at):
            return done
    return ""


def _consider_challenger(
    challenger: ModelVersion, champion: ModelVersion, comparison: Comparison, at: datetime
) -> str:
    words = f"On trial beside version {champion.version}, over {_cases(comparison)}, it was"
    if comparison.outcome == Outcome.BETTER:
        reason = f"{words} better: off by {_losses(comparison)}."
        _put_into_service(challenger, at=at, reason=reason, evidence=comparison)
        return What.PROMOTED
    is_worse = comparison.outcome == Outcome.WORSE
    if is_worse or comparison.n_cases >= MAX_TRIAL_CASES:
        told = "worse" if is_worse else "no better"
        with transaction.atomic():
            _move(challenger, Alias.NONE)
            reason = f"{words} {told}: off by {_losses(comparison)}."
            _note(challenger, What.NOT_PROMOTED, at, reason, comparison)
        return What.NOT_PROMOTED
    return ""


def _consider_standby(
    earlier: ModelVersion, champion: ModelVersion, comparison: Comparison, at: datetime
) -> str:
    if comparison.outcome == Outcome.BETTER:
        reason = (
            f"Since it took over, version {earlier.version}, which stood by, was better over "
            f"{_cases(comparison)}: off by {_losses(comparison)}."
        )
        _bring_back(earlier, champion, at=at, reason=reason, evidence=comparison)
        return What.ROLLED_BACK
    if comparison.outcome == Outcome.WORSE or comparison.n_cases >= MAX_TRIAL_CASES:
        with transaction.atomic():
            _move(earlier, Alias.NONE)
            text = f"Version {champion.version} has proved itself over {_cases(comparison)}."
            _note(earlier, What.RETIRED, at, text, comparison)
        return What.RETIRED
    return ""


def compare_on_outcomes(one: ModelVersion, other: ModelVersion) -> Comparison:
    """Compare two versions on what both were asked about and has turned out since."""
    mine = {row.case_key: row for row in one.outcomes.all()}
    theirs = {row.case_key: row.loss for row in other.outcomes.all()}
    return promotion.compare(
        {key: row.loss for key, row in mine.items()},
        theirs,
        {key: row.slice or str(row.machine_id) for key, row in mine.items()},
    )


# -- small steps -------------------------------------------------------------------------------


def _locked(version: ModelVersion) -> Any:
    """Lock the rows of one kind and subject, so that two decisions come one after the other."""
    of_subject = {kinds.of(version.kind).subject_field: version.subject_id}
    rows = ModelVersion.objects.filter(kind=version.kind, **of_subject)
    found = rows.order_by("version").select_for_update()
    list(found.values_list("pk"))
    return rows


def _move(version: ModelVersion, alias: str) -> None:
    ModelVersion.objects.filter(pk=version.pk).update(alias=alias)
    version.alias = alias


def _note(
    version: ModelVersion, what: str, at: datetime, reason: str,
    evidence: Evidence = None, by: User | None = None,
) -> None:  # fmt: skip
    VersionEvent.objects.create(
        version=version, at=at, what=what, reason=reason[:500], by_id=by.pk if by else None,
        evidence=evidence.as_evidence()
        if isinstance(evidence, Comparison)
        else dict(evidence or {}),
    )  # fmt: skip


def _follow_up(*versions: ModelVersion, action: str, by: User | None) -> None:
    """Have the version in service asked anew and the book say what each version is now."""
    factory = current_factory()
    first = versions[0]
    kind = kinds.of(first.kind)
    name = kind.name_of(kinds.subject_of(first))
    audit.record(action=action, actor=by, factory=factory, target=f"{name[:100]} {first.version}")
    if kind.ask_again:
        jobs.enqueue(task=kind.ask_again, factory=factory, key=kind.ask_again.rpartition(".")[2])
    for version in versions:
        if version.mlflow_run_id:
            jobs.enqueue(
                task="mlops.record_run", kwargs={"version_id": str(version.pk)}, factory=factory,
                key=f"record-{version.pk}",
            )  # fmt: skip


def _check_artifact(version: ModelVersion) -> None:
    try:
        serving.load(version)
    except (artifacts.ArtifactRefused, storage.StorageUnavailable) as error:
        raise NotPossible(f"Version {version.version} cannot serve. {error}") from error


def _cases(comparison: Comparison) -> str:
    return f"{comparison.n_cases} case{'' if comparison.n_cases == 1 else 's'}"


def _losses(comparison: Comparison) -> str:
    return f"{comparison.loss:.0%} against {comparison.loss_of_other:.0%}"
