"""The pages of visual inspection: all plans, one plan, its regression set, who disagrees."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.urls import reverse

from frontend.formats import DASH, amount, figure, local, moment
from frontend.quality_charts import percent
from frontend.tiles import Figure
from frontend.vision_rows import (
    LABEL_KIND,
    KeptRow,
    Label,
    PictureRow,
    picture_row,
    picture_rows,
    said_beside,
)
from mlops import kinds
from mlops import selectors as mlops_selectors
from mlops import services as mlops_services
from mlops.models import Finding, InspectionImage, Kind, ModelVersion, VersionEvent, VisionSetup
from mlops.selectors import VisionStanding
from mlops.vision.inspection import regression_set
from mlops.vision.thresholds import limit_of
from production import selectors as production_selectors
from production.models import InspectionPlan
from tenants.models import Job, User

GOOD_IS_20 = 20  # good pictures, from which on a model's limit holds
NOTHING = VisionStanding()


@dataclass(frozen=True)
class PlanRow:
    """One plan in the list."""

    url: str
    name: str
    state: str
    state_word: str
    n: str
    n_today: str
    n_rejected: str
    n_waiting: int
    n_doubtful: int
    queue_url: str
    findings: tuple[str, ...]


def day_began_at(at: datetime) -> datetime:
    """Return when the day began, by the factory's clock."""
    return local(at).replace(hour=0, minute=0, second=0, microsecond=0)


def plan_rows(*, at: datetime) -> tuple[list[PlanRow], list[InspectionPlan]]:
    """Return the plans that have pictures, and those that could begin."""
    plans = production_selectors.plans_in_force()
    standings = mlops_selectors.vision_standings(day_began_at=day_began_at(at))
    champions = mlops_selectors.vision_champions()
    findings: dict[UUID | None, list[str]] = {}
    for one in mlops_selectors.open_findings().filter(version__kind=Kind.VISION):
        findings.setdefault(one.version.inspection_plan_id, []).append(one.message)
    rows = [
        _plan_row(plan, standings[plan.pk], champions.get(plan.pk), findings.get(plan.pk, []))
        for plan in plans
        if plan.pk in standings
    ]
    return rows, [plan for plan in plans if plan.pk not in standings]


def _plan_row(
    plan: InspectionPlan, counts: VisionStanding, champion: ModelVersion | None,
    findings: Sequence[str],
) -> PlanRow:  # fmt: skip
    taught = f"{counts.n_good} of {GOOD_IS_20} good pictures"
    word = f"Version {champion.version} is in service" if champion else f"Taught with {taught}"
    return PlanRow(
        url=reverse("frontend:quality-vision-plan", args=[plan.pk]),
        name=f"{plan.product.name}: {plan.name}",
        state="serving" if champion else "none",
        state_word=word,
        n=amount(counts.n),
        n_today=amount(counts.n_today),
        n_rejected=amount(counts.n_rejected),
        n_waiting=counts.n_waiting,
        n_doubtful=counts.n_doubtful,
        queue_url=reverse("frontend:quality-vision-queue", args=[plan.pk]),
        findings=tuple(findings),
    )


def list_words(rows: Sequence[PlanRow]) -> str:
    """Open the list with what there is to do."""
    n_doubtful = sum(row.n_doubtful for row in rows)
    n_findings = sum(len(row.findings) for row in rows)
    doubtful = f"{n_doubtful} doubtful picture{'' if n_doubtful == 1 else 's'}"
    words = f"{doubtful} to look at." if n_doubtful else "No picture waits in doubt."
    if n_findings:
        words += f" The watch found {n_findings} thing{'' if n_findings == 1 else 's'}."
    return words


@dataclass(frozen=True)
class Head:
    """What stands above every page of one plan."""

    plan: InspectionPlan
    name: str
    n_waiting: int
    n_kept: int
    model_url: str


@dataclass(frozen=True)
class PlanPage:
    """The page of one plan's pictures."""

    head: Head
    lead: str
    figures: tuple[Figure, ...]
    readiness: str
    n_good: int
    n_wanted: int
    share_taught: float
    champion: ModelVersion | None
    why: str
    limit_words: str
    weaknesses: Sequence[str]
    findings: Sequence[Finding]
    job: Job | None
    can_learn: bool
    pictures: Sequence[PictureRow]
    is_empty: bool
    n_unseen: int

    @property
    def is_busy(self) -> bool:
        """Whether something on the page is about to change by itself."""
        return self.job is not None or self.n_unseen > 0


def standing_of(plan: InspectionPlan, *, at: datetime) -> VisionStanding:
    found = mlops_selectors.vision_standings(day_began_at=day_began_at(at), plan_ids=[plan.pk])
    return found.get(plan.pk, NOTHING)


def head_of(plan: InspectionPlan, counts: VisionStanding) -> Head:
    return Head(
        plan=plan,
        name=f"{plan.product.name}: {plan.name}",
        n_waiting=counts.n_waiting,
        n_kept=counts.n_kept,
        model_url=reverse("frontend:model", args=[plan.pk, Kind.VISION.value]),
    )


def plan_page(
    plan: InspectionPlan, images: Sequence[InspectionImage], *, at: datetime, may_learn: bool,
    judging: bool,
) -> PlanPage:  # fmt: skip
    """Compose the page; `images` are those that are shown, `judging` says that a job is asked."""
    counts = standing_of(plan, at=at)
    champion = mlops_selectors.champion(subject_id=plan.pk, kind=Kind.VISION)
    readiness = kinds.of(Kind.VISION).readiness(plan)
    job = mlops_services.open_training(subject_id=plan.pk, kind=Kind.VISION)
    findings = mlops_selectors.open_findings(subject_id=plan.pk).filter(version__kind=Kind.VISION)
    setup = mlops_selectors.vision_setup(plan)
    event = _promotion(plan, champion)
    rows = picture_rows(images, at=at)
    return PlanPage(
        head=head_of(plan, counts),
        lead=_lead(champion, event, counts, at=at),
        figures=_figures(counts),
        readiness=readiness.message,
        n_good=counts.n_good,
        n_wanted=GOOD_IS_20,
        share_taught=min(1.0, counts.n_good / GOOD_IS_20),
        champion=champion,
        why=event.reason if event else "",
        limit_words=_limit_words(champion, setup, plan),
        weaknesses=champion.weaknesses if champion else (),
        findings=list(findings),
        job=job,
        can_learn=may_learn and readiness.is_ready and job is None,
        pictures=rows,
        is_empty=not counts.n,
        n_unseen=_n_unseen(images, rows) if judging and champion else 0,
    )


def _n_unseen(images: Sequence[InspectionImage], rows: Sequence[PictureRow]) -> int:
    """Count the pictures on the page that a job is about to judge."""
    return sum(
        row.word == "Not judged yet" and not image.label and not row.is_gone
        for image, row in zip(images, rows, strict=True)
    )


def _promotion(plan: InspectionPlan, champion: ModelVersion | None) -> VersionEvent | None:
    if champion is None:
        return None
    rows = mlops_selectors.events_of(subject_id=plan.pk, kind=Kind.VISION)
    return rows.filter(version=champion, what=VersionEvent.What.PROMOTED).first()


def _lead(
    champion: ModelVersion | None, event: VersionEvent | None, counts: VisionStanding, *,
    at: datetime,
) -> str:  # fmt: skip
    if champion is None:
        return "No version judges these pictures yet." if counts.n else "Nothing is taught yet."
    since = event.at if event else champion.created_at
    return f"Version {champion.version} judges these pictures since {moment(since, at)}."


def _figures(counts: VisionStanding) -> tuple[Figure, ...]:
    return (
        Figure("Pictures today", amount(counts.n_today), below=f"{amount(counts.n)} in all"),
        Figure("Rejected today", amount(counts.n_rejected), below="by the version in service"),
        Figure("To look at", amount(counts.n_waiting), below=f"{counts.n_doubtful} in doubt"),
        Figure("Taught good", amount(counts.n_good), below=f"{counts.n_defects} defective shown"),
        Figure("Regression set", amount(counts.n_kept), below="pictures that stay right"),
    )


def _limit_words(champion: ModelVersion | None, setup: VisionSetup, plan: InspectionPlan) -> str:
    if champion is None:
        return ""
    in_force = production_selectors.version_in_force(plan) or plan
    source = "set by hand" if setup.limit is not None else "by costs, as far as they are known"
    return f"{figure(limit_of(champion, setup, in_force))}, {source}"


# -- the regression set


@dataclass(frozen=True)
class RegressionPage:
    """The kept pictures, and the last decision that rested on them."""

    head: Head
    rows: tuple[KeptRow, ...]
    serving: str
    newest: str
    proof_words: str
    proof_at: str
    proof_kind: str


def regression_page(plan: InspectionPlan, *, at: datetime) -> RegressionPage:
    images = regression_set(plan)
    champion = mlops_selectors.champion(subject_id=plan.pk, kind=Kind.VISION)
    newest = mlops_selectors.newest_version(subject_id=plan.pk, kind=Kind.VISION)
    proof = mlops_selectors.newest_proof(plan.pk)
    ids = [image.pk for image in images]
    last = mlops_selectors.newest_verdicts(ids)
    by_champion = mlops_selectors.verdicts_by(champion, ids) if champion else {}
    is_newer = newest is not None and newest != champion
    by_newest = mlops_selectors.verdicts_by(newest, ids) if newest and is_newer else {}
    changes = _changes(proof)
    rows = []
    for image in images:
        serving, serving_kind = said_beside(image.label, by_champion.get(image.pk))
        other, other_kind = said_beside(image.label, by_newest.get(image.pk))
        rows.append(
            KeptRow(
                picture=picture_row(image, last.get(image.pk), at=at),
                image_id=str(image.pk),
                expected_kind=LABEL_KIND[Label(image.label)],
                expected=image.get_label_display(),
                serving=serving, serving_kind=serving_kind,
                newest=other, newest_kind=other_kind,
                change=changes.get(str(image.pk), ""),
            )
        )  # fmt: skip
    return RegressionPage(
        head=head_of(plan, standing_of(plan, at=at)),
        rows=tuple(rows),
        serving=f"Version {champion.version}, in service" if champion else "",
        newest=f"Version {newest.version}" if newest and is_newer else "",
        proof_words=_proof_words(proof),
        proof_at=moment(proof.at, at) if proof else "",
        proof_kind=_proof_kind(proof),
    )


def _changes(proof: VersionEvent | None) -> dict[str, str]:
    if proof is None:
        return {}
    number = proof.version.version
    broken = dict.fromkeys(proof.evidence.get("broken", []), f"Version {number} got it wrong")
    mended = dict.fromkeys(proof.evidence.get("mended", []), f"Mended by version {number}")
    return broken | mended


def _proof_words(proof: VersionEvent | None) -> str:
    if proof is None:
        return ""
    told = proof.evidence
    right = f"{told.get('n_right', 0)} of {told['n_kept']} right"
    return f"Version {proof.version.version}: {right}. {proof.reason}"


def _proof_kind(proof: VersionEvent | None) -> str:
    if proof is None:
        return ""
    return "bad" if proof.evidence.get("broken") else "good"


# -- who disagrees


@dataclass(frozen=True)
class DisputedRow:
    picture: PictureRow
    said: tuple[tuple[str, str, str], ...]  # who, kind, word


@dataclass(frozen=True)
class AgreementRow:
    names: str
    n: int
    share: str
    kappa: str


def disputed_rows(plan: InspectionPlan, *, at: datetime) -> list[DisputedRow]:
    """Return the pictures that people label differently, each with what everybody says."""
    found = mlops_selectors.disagreements(plan.pk)
    people = User.objects.in_bulk({person for one in found for person in one.labels})
    said = mlops_selectors.newest_verdicts(one.image.pk for one in found)
    words = {str(value): str(word) for value, word in Label.choices}
    return [
        DisputedRow(
            picture_row(one.image, said.get(one.image.pk), at=at),
            tuple(
                (str(people.get(person, "Somebody")), LABEL_KIND[Label(label)], words[label])
                for person, label in sorted(one.labels.items())
            ),
        )
        for one in found
    ]


def agreement_rows(plan: InspectionPlan) -> list[AgreementRow]:
    return [
        AgreementRow(
            names=f"{row.one} and {row.other}",
            n=row.n,
            share=percent(row.share),
            kappa=DASH if row.kappa is None else figure(round(row.kappa, 2)),
        )
        for row in mlops_selectors.pair_agreements(plan.pk)
    ]
