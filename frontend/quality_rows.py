"""Quality as the pages show it: rows, plain sentences, what may be done now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from frontend.formats import DASH, amount, exact, figure, length, moment, money
from frontend.quality_charts import percent
from frontend.tiles import Figure
from production.models import (
    Characteristic,
    Inspection,
    InspectionPlan,
    InspectionVerdict,
    Measurement,
    Nonconformance,
    Verdict,
)
from production.selectors import DefectRow, PairAgreement, Yield

Sampling = InspectionPlan.Sampling
VERDICT_KIND = {Verdict.PASS: "good", Verdict.FAIL: "bad", Verdict.UNCLEAR: "unclear"}


@dataclass(frozen=True)
class InspectionRow:
    url: str
    number: int
    what: str
    plan: str
    machine: str
    when: str
    state: str
    word: str
    kind: str  # good, bad, unclear, due or missed
    is_late: bool
    record_url: str


def inspection_row(row: Inspection, *, at: datetime) -> InspectionRow:
    subject = row.lot.code if row.lot else row.order.number if row.order else DASH
    is_done = row.state == Inspection.State.DONE
    return InspectionRow(
        url=reverse("frontend:inspection", args=[row.pk]),
        number=row.number,
        what=f"{subject}, piece {row.piece}" if row.piece else subject,
        plan=f"{row.plan.product.name}: {row.plan.name}",
        machine=row.machine.name if row.machine else "",
        when=moment(row.inspected_at, at) if is_done else _due_words(row, at),
        state=row.state,
        word=row.get_verdict_display() if is_done else row.get_state_display(),
        kind=VERDICT_KIND.get(Verdict(row.verdict), "unclear") if row.verdict else row.state,
        is_late=row.state == Inspection.State.DUE and bool(row.due_at and row.due_at < at),
        record_url=f"{reverse('frontend:inspection-record')}?due={row.pk}",
    )


def _due_words(row: Inspection, at: datetime) -> str:
    if row.due_at is None:
        return DASH
    if row.state == Inspection.State.DUE:
        return f"Due for {length((at - row.due_at).total_seconds())}"
    return f"Was due {moment(row.due_at, at)}"


def sampling_words(plan: InspectionPlan) -> str:
    """Say in one sentence what is looked at."""
    after = f"after {plan.operation}" if plan.operation else "of the finished lot"
    n = plan.sample_n
    what = {
        Sampling.EVERY_PART: f"Every part is looked at {after}",
        Sampling.EVERY_NTH: f"The first of every {amount(n)} parts is looked at {after}",
        Sampling.PER_LOT: f"{amount(n)} of the parts of a lot are looked at {after}",
        Sampling.EVERY_MINUTES: f"A part is looked at every {amount(n)} min while it runs",
    }[Sampling(plan.sampling)]
    c = plan.acceptance_number
    parts = "part" if c == 1 else "parts"
    held = f"more than {c} defective {parts}" if c else "one defective part or more"
    return f"{what}. A lot with {held} is held."


def limits_words(row: Characteristic) -> str:
    """Say within which limits a value is good: 11.98 to 12.02 mm."""
    low, high = row.lower_limit, row.upper_limit
    if row.kind != Characteristic.Kind.VARIABLE:
        return row.get_kind_display()
    if low is not None and high is not None:
        words = f"{exact(low)} to {exact(high)}"
    else:
        words = f"at least {exact(low)}" if low is not None else f"at most {exact(high or 0.0)}"
    return f"{words} {row.unit}".strip()


@dataclass(frozen=True)
class YieldRow:
    name: str
    step: str
    share: str
    counts: str
    of_one: float


def yield_rows(rows: Iterable[Yield]) -> list[YieldRow]:
    return [
        YieldRow(
            row.name, row.step, percent(row.share or 0.0),
            f"{amount(row.n_good)} of {amount(row.n_inspected)}", row.share or 0.0,
        )
        for row in rows
    ]  # fmt: skip


@dataclass(frozen=True)
class ParetoRow:
    name: str
    severity: str
    n_parts: str
    n_found: str
    cost: str
    share: str
    of_one: float


def pareto_rows(rows: Sequence[DefectRow], *, currency: str) -> list[ParetoRow]:
    total = sum(row.n_parts for row in rows) or 1
    severities = {"minor": "Minor", "major": "Major", "critical": "Critical"}
    return [
        ParetoRow(
            name=row.name,
            severity=severities.get(row.severity, row.severity),
            n_parts=amount(row.n_parts),
            n_found=amount(row.n_found),
            cost=money(row.cost_minor, currency),
            share=percent(row.n_parts / total),
            of_one=row.n_parts / total,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class PairRow:
    names: str
    n: int
    share: str
    kappa: str


def pair_rows(rows: Iterable[PairAgreement]) -> list[PairRow]:
    return [
        PairRow(
            names=f"{row.first} and {row.second}",
            n=row.agreement.n,
            share=percent(row.agreement.share or 0.0),
            kappa=DASH if row.agreement.kappa is None else figure(round(row.agreement.kappa, 2)),
        )
        for row in rows
    ]


def figures(
    *, n_due: int, n_late: int, n_open: int, steps: Sequence[Yield], cost_minor: int,
    currency: str,
) -> list[Figure]:  # fmt: skip
    """Return the strip of the page: what waits, what was good, what it has cost."""
    n_inspected = sum(step.n_inspected for step in steps)
    n_good = sum(step.n_good for step in steps)
    share = percent(n_good / n_inspected) if n_inspected else DASH
    return [
        Figure("Due", str(n_due), below=f"{n_late} of them for over an hour" if n_late else
               "none for over an hour"),
        Figure("Nonconformances open", str(n_open), below="until it is decided and done"),
        Figure("Passed the first time", share.removesuffix(" %"), "%" if n_inspected else "",
               below=f"{amount(n_good)} of {amount(n_inspected)} looked at, 30 days",
               is_none=not n_inspected),
        Figure("Cost of nonconformances", money(cost_minor, currency),
               below="in 30 days, as far as known"),
    ]  # fmt: skip


@dataclass(frozen=True)
class NonconformanceRow:
    url: str
    number: int
    what: str
    text: str
    state: str
    word: str
    when: str
    cost: str


def nonconformance_row(row: Nonconformance, *, at: datetime) -> NonconformanceRow:
    lot = f"{row.lot.code}, " if row.lot else ""
    decided = f": {row.get_disposition_display()}" if row.disposition else ""
    return NonconformanceRow(
        url=reverse("frontend:nonconformance", args=[row.pk]),
        number=row.number,
        what=f"{lot}{figure(float(row.quantity))} {row.product.unit} of {row.product.name}",
        text=row.text,
        state=row.state,
        word=f"{row.get_state_display()}{decided}",
        when=moment(row.found_at, at),
        cost=money(row.cost_minor, row.currency) if row.cost_minor is not None else "",
    )


@dataclass(frozen=True)
class MeasurementRow:
    name: str
    value: str
    limits: str
    is_within: bool
    gauge: str


def measurement_row(row: Measurement) -> MeasurementRow:
    unit = row.characteristic.unit
    value = f"{exact(row.value)} {unit}".strip() if row.value is not None else ""
    piece = f" ({row.piece_no})" if row.piece_no > 1 else ""
    return MeasurementRow(
        name=f"{row.characteristic.name}{piece}",
        value=value or ("Good" if row.is_within else "Not good"),
        limits=limits_words(row.characteristic),
        is_within=row.is_within,
        gauge=row.gauge,
    )


@dataclass(frozen=True)
class VerdictRow:
    word: str
    kind: str
    who: str
    when: str
    note: str
    defects: str
    is_newest: bool


def verdict_rows(inspection: Inspection, *, at: datetime) -> list[VerdictRow]:
    """Return what everybody said of an inspection, newest first."""
    said = sorted(inspection.verdicts.all(), key=lambda row: (row.at, row.pk), reverse=True)
    return [_verdict_row(row, at=at, is_newest=index == 0) for index, row in enumerate(said)]


def _verdict_row(row: InspectionVerdict, *, at: datetime, is_newest: bool) -> VerdictRow:
    defects = [
        f"{found.defect_type.name} ({found.count})" if found.count > 1 else found.defect_type.name
        for found in row.defects.all()
    ]
    return VerdictRow(
        word=row.get_verdict_display(),
        kind=VERDICT_KIND[Verdict(row.verdict)],
        who=str(row.by) if row.by else row.get_source_display(),
        when=moment(row.at, at),
        note=row.note,
        defects=", ".join(defects),
        is_newest=is_newest,
    )


def disagreement(inspection: Inspection) -> str:
    """Say who sees it differently, or nothing where nobody does."""
    newest: dict[str, str] = {}
    for row in sorted(inspection.verdicts.all(), key=lambda row: (row.at, row.pk)):
        newest[str(row.by) if row.by else row.get_source_display()] = row.get_verdict_display()
    if len(set(newest.values())) < 2:
        return ""
    said = "; ".join(f"{who}: {word.lower()}" for who, word in newest.items())
    return f"They disagree. {said}. The newest verdict counts."


CSV_HEADER = (
    "number", "product", "plan", "version", "lot", "order", "piece", "machine", "source", "state",
    "verdict", "first_verdict", "inspected_at", "made_at", "defects", "note",
)  # fmt: skip


def csv_row(row: Inspection) -> list[str]:
    """Return an inspection as a line of a table; times are UTC."""
    newest = max(row.verdicts.all(), key=lambda said: (said.at, said.pk), default=None)
    defects = newest.defects.all() if newest else ()
    return [
        str(row.number), row.plan.product.item_no, row.plan.name, str(row.plan.version),
        row.lot.code if row.lot else "", row.order.number if row.order else "", row.piece,
        row.machine.name if row.machine else "", row.source, row.state, row.verdict,
        row.first_verdict, row.inspected_at.isoformat() if row.inspected_at else "",
        row.made_at.isoformat() if row.made_at else "",
        " ".join(f"{found.defect_type.code}:{found.count}" for found in defects),
        newest.note if newest else "",
    ]  # fmt: skip
