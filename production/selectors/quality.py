"""How good what is made is: first-pass yield, defects by weight, how far inspectors agree."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import prod
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from production.agreement import Agreement, agreement
from production.models import (
    FoundDefect,
    Inspection,
    InspectionVerdict,
    Nonconformance,
    Product,
    Verdict,
)
from tenants.models import User

State = Inspection.State


@dataclass(frozen=True, slots=True)
class Yield:
    """Of `n_inspected` parts, how many passed the first time; the others are not good.

    What nobody inspected counts neither as inspected nor as good.
    """

    name: str
    step: str
    n_inspected: int
    n_good: int
    key: object = None

    @property
    def share(self) -> float | None:
        return self.n_good / self.n_inspected if self.n_inspected else None


def _first_looks(since: datetime, until: datetime) -> QuerySet[Inspection]:
    """Return inspections of the period that are the first of their part by their plan."""
    earlier = Inspection.objects.filter(
        lot=OuterRef("lot"), piece=OuterRef("piece"), state=State.DONE,
        plan__name=OuterRef("plan__name"), plan__product=OuterRef("plan__product"),
    ).filter(
        Q(inspected_at__lt=OuterRef("inspected_at"))
        | Q(inspected_at=OuterRef("inspected_at"), number__lt=OuterRef("number"))
    )  # fmt: skip
    rows = Inspection.objects.filter(
        state=State.DONE, inspected_at__gte=since, inspected_at__lt=until
    )
    return rows.filter(~Exists(earlier))


def _counted(rows: QuerySet[Inspection], *names: str) -> Iterable[tuple[Any, ...]]:
    return (
        rows.order_by(*names)
        .values_list(*names)
        .annotate(n=Count("pk"), n_good=Count("pk", filter=Q(first_verdict=Verdict.PASS)))
    )


def yields_by_step(*, since: datetime, until: datetime) -> list[Yield]:
    """Return the first-pass yield of each product and plan, by product; a plan is a step.

    Source: ISO 22400-2, first pass yield: good parts by inspected parts.
    """
    names = ("plan__product__item_no", "plan__product__name", "plan__name", "plan__product")
    return [
        Yield(f"{item_no} {name}", step, n, n_good, key)
        for item_no, name, step, key, n, n_good in _counted(_first_looks(since, until), *names)
    ]


def yields_by_machine(
    *, since: datetime, until: datetime, machine_id: UUID | None = None
) -> list[Yield]:
    """Return the first-pass yield of what each machine made, as far as the machine is known."""
    rows = _first_looks(since, until).filter(machine__isnull=False)
    if machine_id is not None:
        rows = rows.filter(machine=machine_id)
    names = ("machine__name", "plan__name", "machine")
    return [
        Yield(machine, step, n, n_good, key)
        for machine, step, key, n, n_good in _counted(rows, *names)
    ]


def yields_by_day(*, since: datetime, until: datetime, product: Product) -> list[Yield]:
    """Return the first-pass yield of a product by day of the current time zone, oldest first."""
    rows = _first_looks(since, until).filter(plan__product=product)
    zone = timezone.get_current_timezone()
    dated = rows.annotate(day=TruncDate("inspected_at", tzinfo=zone))
    return [
        Yield(day.isoformat(), step, n, n_good, day)
        for day, step, n, n_good in _counted(dated, "day", "plan__name")
    ]


def rolled_yield(steps: Iterable[Yield]) -> float | None:
    """Return the share that passes all of these steps the first time; None without any step."""
    shares = [step.share for step in steps if step.share is not None]
    return prod(shares) if shares else None


@dataclass(frozen=True, slots=True)
class DefectRow:
    """A kind of defect: on how many parts, how often in all, and what it has cost."""

    code: str
    name: str
    severity: str
    n_parts: int
    n_found: int
    cost_minor: int | None


def defect_pareto(
    *,
    since: datetime,
    until: datetime,
    product_id: UUID | None = None,
    machine_id: UUID | None = None,
) -> list[DefectRow]:
    """Return the defects that newest verdicts name, most parts first.

    The cost is that of the nonconformances whose main defect it is; None where none is known.
    """
    newest = InspectionVerdict.objects.filter(inspection=OuterRef("verdict__inspection")).order_by(
        "-at", "-pk"
    )
    where = _of_period("verdict__inspection__", since, until, product_id, machine_id)
    rows = (
        FoundDefect.objects.filter(**where)
        .filter(verdict=Subquery(newest.values("pk")[:1]))
        .order_by()
        .values_list("defect_type", "defect_type__code", "defect_type__name",
                     "defect_type__severity")
        .annotate(n_parts=Count("verdict__inspection", distinct=True), n_found=Sum("count"))
    )  # fmt: skip
    costs = _costs(since, until, product_id, machine_id)
    found = [
        DefectRow(code, name, severity, n_parts, n_found, costs.get(pk))
        for pk, code, name, severity, n_parts, n_found in rows
    ]
    return sorted(found, key=lambda row: (-row.n_parts, -row.n_found, row.code))


def _of_period(
    prefix: str, since: datetime, until: datetime, product_id: UUID | None, machine_id: UUID | None
) -> dict[str, object]:
    where: dict[str, object] = {
        f"{prefix}inspected_at__gte": since, f"{prefix}inspected_at__lt": until,
    }  # fmt: skip
    if product_id is not None:
        where[f"{prefix}plan__product"] = product_id
    if machine_id is not None:
        where[f"{prefix}machine"] = machine_id
    return where


def _costs(
    since: datetime, until: datetime, product_id: UUID | None, machine_id: UUID | None
) -> dict[UUID, int]:
    rows = Nonconformance.objects.filter(
        **_of_period("inspection__", since, until, product_id, machine_id)
    )
    sums = (
        rows.filter(defect_type__isnull=False, cost_minor__isnull=False)
        .order_by()
        .values_list("defect_type")
        .annotate(cost=Sum("cost_minor"))
    )
    return {pk: int(cost) for pk, cost in sums if pk is not None}


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """How far two people agree on the inspections that both have judged."""

    first: User
    second: User
    agreement: Agreement


def _newest_of_people(since: datetime, until: datetime) -> dict[UUID, dict[int, str]]:
    """Return by inspection what each person last said of it, where more than one has spoken."""
    rows = (
        InspectionVerdict.objects.filter(
            source=Inspection.Source.PERSON, by__isnull=False,
            inspection__inspected_at__gte=since, inspection__inspected_at__lt=until,
        )
        .order_by("at", "pk")
        .values_list("inspection", "by", "verdict")
    )  # fmt: skip
    said: dict[UUID, dict[int, str]] = defaultdict(dict)
    for inspection_id, person_id, verdict in rows:
        if person_id is not None:
            said[inspection_id][person_id] = verdict
    return {pk: people for pk, people in said.items() if len(people) > 1}


def inspector_agreement(*, since: datetime, until: datetime) -> list[PairAgreement]:
    """Return how far each pair of people agrees, those with most inspections in common first."""
    pairs: dict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
    for people in _newest_of_people(since, until).values():
        ids = sorted(people)
        for at, one in enumerate(ids):
            for other in ids[at + 1 :]:
                pairs[one, other].append((people[one], people[other]))
    users = User.objects.in_bulk({pk for pair in pairs for pk in pair})
    found = [
        PairAgreement(users[one], users[other], agreement(said))
        for (one, other), said in pairs.items()
        if one in users and other in users
    ]
    return sorted(found, key=lambda pair: (-pair.agreement.n, pair.first.pk, pair.second.pk))


def disputed_inspections(*, since: datetime, until: datetime) -> list[UUID]:
    """Return the inspections of which two people last said different things."""
    said = _newest_of_people(since, until)
    return [pk for pk, people in said.items() if len(set(people.values())) > 1]


def cost_of_defects(*, since: datetime, until: datetime) -> int:
    """Return what nonconformances that were found in a period have cost, as far as is known."""
    rows = Nonconformance.objects.filter(found_at__gte=since, found_at__lt=until)
    return int(rows.aggregate(cost=Sum(F("cost_minor")))["cost"] or 0)
