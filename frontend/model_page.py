"""The models of a factory as people read them: what serves, since when, why, and how good it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from frontend.formats import DASH, figure, moment
from frontend.life import units
from mlops import kinds
from mlops import selectors as mlops_selectors
from mlops import services as mlops_services
from mlops.kinds import Subject
from mlops.models import Finding, Kind, ModelVersion, VersionEvent
from mlops.selectors import TrackRecord
from tenants.models import Job

KIND_WORDS = {str(kind.value): str(kind.label) for kind in Kind}
EVENT_ICONS = {"promoted": "circle-check", "rolled_back": "refresh", "not_promoted": "x"}
_WIDTH, _HEIGHT = 360.0, 90.0


@dataclass(frozen=True)
class ModelRow:
    """One kind of model of one subject in the list."""

    name: str
    kind_word: str
    url: str
    state: str
    state_word: str
    under: str
    record: str
    n_findings: int


@dataclass(frozen=True)
class VersionRow:
    id: str
    number: int
    alias: str
    alias_word: str
    trained_at: datetime
    n_cases: int
    error: str
    coverage: str
    held_back: str
    can_serve: bool
    compare_url: str


@dataclass(frozen=True)
class Line:
    """Something that happened."""

    at: datetime
    icon: str
    words: str
    who: str
    reason: str


@dataclass(frozen=True)
class Pair:
    """One figure of two versions beside each other."""

    label: str
    one: str
    other: str


@dataclass(frozen=True)
class CompareCard:
    heading: str
    words: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class Dot:
    x: str
    y: str
    low: str
    high: str
    label: str
    is_serving: bool


@dataclass(frozen=True)
class ModelPage:
    """Everything that the page of one kind of model of one subject shows."""

    subject_id: UUID
    name: str
    kind: str
    heading: str
    lead: str
    readiness: str
    can_train: bool
    job: Job | None
    champion: VersionRow | None
    figures: tuple[tuple[str, str], ...]
    weaknesses: Sequence[str]
    record: str
    versions: tuple[VersionRow, ...]
    findings: Sequence[Finding]
    log: tuple[Line, ...]
    dots: tuple[Dot, ...]
    dots_words: str
    compare: CompareCard | None
    can_roll_back: bool


def rows() -> list[ModelRow]:
    """Return a row for each kind of model of each of its subjects."""
    return [_row(kind, one) for kind in kinds.codes() for one in kinds.of(kind).subjects()]


def _row(kind: str, subject: Subject) -> ModelRow:
    champion = mlops_selectors.champion(subject_id=subject.pk, kind=kind)
    beside = mlops_selectors.beside(subject_id=subject.pk, kind=kind)
    findings = mlops_selectors.open_findings(subject_id=subject.pk)
    n_findings = findings.filter(version__kind=kind).count() if champion else 0
    record = mlops_selectors.track_record(subject_id=subject.pk, kind=kind)
    if champion is None:
        state, word = "none", "No model yet"
        under = mlops_selectors.readiness(subject, kind=kind).message
    else:
        state, word = "serving", f"Version {champion.version} is in service"
        on_trial = [v for v in beside if v.alias == ModelVersion.Alias.CHALLENGER]
        trial = f" Version {on_trial[0].version} is on trial." if on_trial else ""
        under = f"Learned {moment(champion.created_at)} from {_cases(champion)} cases.{trial}"
    return ModelRow(
        name=kinds.of(kind).name_of(subject), kind_word=KIND_WORDS.get(kind, kind),
        url=_url(subject, kind),
        state=state, state_word=word, under=under, record=record_words(record),
        n_findings=n_findings,
    )  # fmt: skip


def _url(subject: Subject, kind: str) -> str:
    return reverse("frontend:model", args=[subject.pk, kind])


def record_words(record: TrackRecord) -> str:
    """Write a track record: "Right 41 of 47 times"."""
    if not record.n:
        return "Nothing it said has come to its end yet"
    return f"Right {record.n_right} of {record.n} time{'' if record.n == 1 else 's'}"


def build(subject: Subject, kind: str, *, compare: str, may_train: bool) -> ModelPage:
    """Gather what the page shows; `compare` is the number of a version, or empty."""
    found = list(mlops_selectors.versions_of(subject_id=subject.pk, kind=kind).order_by("-version"))
    name = kinds.of(kind).name_of(subject)
    champion = next((v for v in found if v.alias == ModelVersion.Alias.CHAMPION), None)
    readiness = mlops_selectors.readiness(subject, kind=kind)
    chosen = next((v for v in found if str(v.version) == compare and v != champion), None)
    events = list(mlops_selectors.events_of(subject_id=subject.pk, kind=kind)[:60])
    findings = mlops_selectors.open_findings(subject_id=subject.pk)
    before = mlops_selectors.served_before(subject_id=subject.pk, kind=kind)
    job = mlops_services.open_training(subject_id=subject.pk, kind=kind)
    record = mlops_selectors.track_record(subject_id=subject.pk, kind=kind)
    base = _url(subject, kind)
    return ModelPage(
        subject_id=subject.pk,
        name=name,
        kind=kind,
        heading=f"{name}: {KIND_WORDS.get(kind, kind).lower()}",
        lead=_lead(champion, events),
        readiness=readiness.message,
        can_train=may_train and readiness.is_ready and job is None,
        job=job,
        champion=_version(champion, base, champion) if champion else None,
        figures=_figures(champion) if champion else (),
        weaknesses=champion.weaknesses if champion else (),
        record=record_words(record),
        versions=tuple(_version(v, base, champion) for v in found),
        findings=list(findings.filter(version__kind=kind)),
        log=_log(events),
        dots=_dots(found),
        dots_words=_dots_words(found),
        compare=_compare(champion, chosen) if champion and chosen else None,
        can_roll_back=champion is not None and before is not None,
    )


def _lead(champion: ModelVersion | None, events: Sequence[VersionEvent]) -> str:
    if champion is None:
        return "No version is in service."
    promoted = next(
        (e for e in events if e.version_id == champion.pk and e.what == "promoted"), None
    )
    since = promoted.at if promoted else champion.created_at
    return f"Version {champion.version} is in service since {moment(since)}."


def _cases(version: ModelVersion) -> int:
    return len(version.cases) or int(version.trained_on.get("n_lives", 0))


def _version(version: ModelVersion, base: str, champion: ModelVersion | None) -> VersionRow:
    metrics, unit = version.metrics, version.unit
    alias = ModelVersion.Alias(version.alias)
    is_serving = version.alias == ModelVersion.Alias.CHAMPION
    return VersionRow(
        id=str(version.pk),
        number=version.version,
        alias=version.alias,
        alias_word=str(alias.label),
        trained_at=version.created_at,
        n_cases=_cases(version),
        error=_between(metrics, unit),
        coverage=_percent(metrics.get("coverage_80", metrics.get("coverage"))),
        held_back=_percent(metrics.get("loss_held_back")),
        can_serve=not is_serving,
        compare_url=f"{base}?compare={version.version}" if champion and not is_serving else "",
    )


def _between(metrics: dict[str, float], unit: str) -> str:
    error, share = metrics.get("rmse_capped"), metrics.get("false_alarm_share")
    if share is not None:
        return f"{share:.1%} false alarms"
    if error is None:
        return DASH
    low, high = metrics.get("rmse_capped_low"), metrics.get("rmse_capped_high")
    reach = "" if low is None or high is None else f" ({figure(low)} to {figure(high)})"
    return f"{figure(error)} {units(error, unit)}{reach}"


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{share:.0%}"


def _figures(version: ModelVersion) -> tuple[tuple[str, str], ...]:
    metrics, unit = version.metrics, version.unit
    n_machines = version.trained_on.get("n_machines", 0)
    found = [
        ("Learned from", f"{_cases(version)} cases of {n_machines} machines"),
        ("Off by, unseen", _between(metrics, unit)),
    ]
    if (by_age := metrics.get("rmse_by_age_alone")) is not None:
        found.append(("By usual length", f"{figure(by_age)} {units(by_age, unit)}"))
    if (held := metrics.get("loss_held_back")) is not None:
        found.append(("Off by, latest", f"{held:.0%} of its horizon"))
    if (share := metrics.get("false_alarm_share")) is not None:
        found[1] = ("False alarms, unseen", f"{share:.1%}")
    if (within := metrics.get("coverage_80")) is not None:
        found.append(("In 80 % interval", _percent(within)))
    digest = str(version.trained_on.get("digest", ""))[:12]
    if digest:
        found.append(("Data set", digest))
    return tuple(found)


def _log(events: Sequence[VersionEvent]) -> tuple[Line, ...]:
    return tuple(
        Line(
            at=event.at,
            icon=EVENT_ICONS.get(event.what, "circle-dashed"),
            words=f"Version {event.version.version}: {event.get_what_display().lower()}",
            who=str(event.by) if event.by else "",
            reason=event.reason,
        )
        for event in events
    )


def _dots(versions: Sequence[ModelVersion]) -> tuple[Dot, ...]:
    """Place the error of each version, oldest first, with its interval, in 360 by 90."""
    shown = [v for v in reversed(versions[:20]) if "rmse_capped" in v.metrics]
    if len(shown) < 2:
        return ()
    top = max(v.metrics.get("rmse_capped_high", v.metrics["rmse_capped"]) for v in shown) or 1.0
    gap = (_WIDTH - 40.0) / (len(shown) - 1)

    def height(value: float) -> str:
        return f"{_HEIGHT - 18.0 - value / top * (_HEIGHT - 30.0):.1f}"

    return tuple(
        Dot(
            x=f"{20.0 + place * gap:.1f}",
            y=height(v.metrics["rmse_capped"]),
            low=height(v.metrics.get("rmse_capped_low", v.metrics["rmse_capped"])),
            high=height(v.metrics.get("rmse_capped_high", v.metrics["rmse_capped"])),
            label=str(v.version),
            is_serving=v.alias == ModelVersion.Alias.CHAMPION,
        )
        for place, v in enumerate(shown)
    )


def _dots_words(versions: Sequence[ModelVersion]) -> str:
    shown = [v for v in reversed(versions[:20]) if "rmse_capped" in v.metrics]
    told = [f"version {v.version} {figure(v.metrics['rmse_capped'])}" for v in shown]
    return f"Error of each version: {', '.join(told)}."


def _compare(champion: ModelVersion, chosen: ModelVersion) -> CompareCard:
    found = mlops_services.compare_on_outcomes(chosen, champion)
    if found.n_cases:
        words = (
            f"Over {found.n_cases} cases that both were asked about, version {chosen.version} was "
            f"off by {found.loss:.0%}, version {champion.version} by {found.loss_of_other:.0%}: "
            f"{_verdict(str(found.outcome))}."
        )
    else:
        words = "Nothing that both were asked about has come to its end yet."
    one, other = _version(chosen, "", None), _version(champion, "", None)
    pairs = [
        Pair("Learned", moment(one.trained_at), moment(other.trained_at)),
        Pair("Cases", str(one.n_cases), str(other.n_cases)),
        Pair("Off by", one.error, other.error),
        Pair("Within 80 % interval", one.coverage, other.coverage),
        Pair("Off by, held back", one.held_back, other.held_back),
    ]
    heading = f"Version {chosen.version} beside version {champion.version}"
    return CompareCard(heading, words, tuple(pairs))


def _verdict(outcome: str) -> str:
    return {
        "better": "better beyond chance",
        "worse": "worse beyond chance",
    }.get(outcome, "that may be chance")
