"""Maintenance plans and spare parts: their lists, and the form of each."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend.order_forms import MovementForm, PartForm, PlanForm, part_initial, plan_initial
from frontend.order_rows import quantity
from frontend.pages import may, page
from production import selectors, services
from production.models import MaintenancePlan, SparePart, StockMovement
from tenants.requests import PortalRequest

N_MOVEMENTS = 30


@dataclass(frozen=True)
class PlanRow:
    plan: MaintenancePlan
    place: str
    trigger: str
    next_on: date | None
    is_late: bool


@dataclass(frozen=True)
class PartRow:
    part: SparePart
    stock: str
    reserved: str
    is_low: bool
    planned: str
    unplanned: str
    to_order: str


@require_GET
@page("production.view")
def plan_list(request: PortalRequest) -> HttpResponse:
    plans = list(selectors.maintenance_plans())
    days: dict[UUID, date] = {}
    for due in selectors.next_due_days([plan for plan in plans if plan.is_enabled]):
        days.setdefault(due.plan.pk, due.on)
    today = timezone.localdate()
    rows = []
    for plan in plans:
        on = days.get(plan.pk)
        rows.append(PlanRow(plan, _place(plan), _trigger(plan), on, bool(on and on < today)))
    context = {"plans": rows, "may_plan": may(request, "production.plan_work")}
    return render(request, "frontend/maintenance/plans.html", context)


def _place(plan: MaintenancePlan) -> str:
    return plan.machine.name if plan.machine else f"Every {plan.machine_type}"


def _trigger(plan: MaintenancePlan) -> str:
    unit = f" {plan.value_unit}" if plan.value_unit else ""
    if plan.trigger == MaintenancePlan.Trigger.CALENDAR:
        return f"Every {plan.every_days} days"
    if plan.trigger == MaintenancePlan.Trigger.METER:
        return f"Every {plan.every_units:g}{unit} of {plan.value_key}"
    return f"When {plan.value_key} {plan.get_beyond_display()} {plan.limit:g}{unit}"


@require_http_methods(["GET", "POST"])
@page("production.plan_work")
def plan_new(request: PortalRequest) -> HttpResponse:
    return _edit_plan(request, None)


@require_http_methods(["GET", "POST"])
@page("production.plan_work")
def plan_edit(request: PortalRequest, plan_id: UUID) -> HttpResponse:
    try:
        return _edit_plan(request, selectors.maintenance_plan(plan_id))
    except MaintenancePlan.DoesNotExist:
        raise Http404 from None


def _edit_plan(request: PortalRequest, plan: MaintenancePlan | None) -> HttpResponse:
    form = PlanForm(
        request.POST or None, initial=plan_initial(plan) if plan else None,
        machines=list(selectors.machines()), types=list(selectors.machine_types()),
        known=list(selectors.spare_parts()),
    )  # fmt: skip
    if request.method == "POST" and form.is_valid():
        try:
            saved = services.save_plan(fields=form.plan_fields(), by=request.user, plan=plan)
        except services.PlanInvalid as error:
            form.add_error(None, str(error))
        else:
            services.make_due_orders(at=timezone.now())
            messages.success(request, f"{saved.name} is saved. Its orders appear by themselves.")
            return redirect("frontend:maintenance-plans")
    context = {"form": form, "plan": plan}
    status = 422 if form.errors else 200
    return render(request, "frontend/maintenance/plan.html", context, status=status)


@require_GET
@page("production.view")
def part_list(request: PortalRequest) -> HttpResponse:
    stocks = selectors.stocks(list(selectors.spare_parts()))
    context = {
        "rows": _part_rows(stocks),
        "may_plan": may(request, "production.plan_work"),
        "n_low": sum(row.is_low for row in stocks),
    }
    return render(request, "frontend/maintenance/parts.html", context)


def _part_rows(stocks: list[selectors.PartStock]) -> list[PartRow]:
    forecasts = selectors.forecasts(stocks, at=timezone.now())
    rows = []
    for row in stocks:
        found = forecasts[row.part.pk]
        unplanned = "Not enough history"
        if found.unplanned is not None:
            unplanned = f"Up to {quantity(found.unplanned)}"
        rows.append(
            PartRow(
                part=row.part,
                stock=quantity(row.stock),
                reserved=quantity(row.reserved) if row.reserved else "",
                is_low=row.is_low,
                planned=quantity(found.planned) if found.planned else "",
                unplanned=unplanned,
                to_order=quantity(found.to_order) if found.to_order else "",
            )
        )
    return rows


@require_http_methods(["GET", "POST"])
@page("production.plan_work")
def part_new(request: PortalRequest) -> HttpResponse:
    form = _part_form(request, None)
    if request.method == "POST" and (saved := _save_part(form, None)):
        return redirect("frontend:spare-part", part_id=saved.pk)
    context = {"form": form, "part": None, "may_plan": True}
    status = 422 if form.errors else 200
    return render(request, "frontend/maintenance/part.html", context, status=status)


@require_http_methods(["GET", "POST"])
@page("production.view")
def part(request: PortalRequest, part_id: UUID) -> HttpResponse:
    found, may_plan = _part(part_id), may(request, "production.plan_work")
    form = _part_form(request, found)
    if request.method == "POST":
        if not may_plan:
            return redirect("frontend:spare-part", part_id=found.pk)
        if _save_part(form, found):
            messages.success(request, "Saved.")
            return redirect("frontend:spare-part", part_id=found.pk)
    context: dict[str, Any] = {
        "form": form,
        "part": found,
        "row": _part_rows(selectors.stocks([found]))[0],
        "movements": selectors.movements(found)[:N_MOVEMENTS],
        "movement_form": MovementForm(initial={"request_id": uuid4()}),
        "may_plan": may_plan,
        "may_work": may(request, "production.work"),
    }
    status = 422 if form.errors else 200
    return render(request, "frontend/maintenance/part.html", context, status=status)


def _part_form(request: PortalRequest, found: SparePart | None) -> PartForm:
    currency = request.factory.currency
    return PartForm(
        request.POST or None, types=list(selectors.machine_types()), currency=currency,
        initial=part_initial(found, currency=currency) if found else None,
    )  # fmt: skip


def _save_part(form: PartForm, found: SparePart | None) -> SparePart | None:
    if not form.is_valid():
        return None
    try:
        return services.save_part(fields=form.part_fields(), part=found)
    except (services.PartNumberTaken, services.LimitsOutOfOrder) as error:
        form.add_error(None, str(error))
        return None


@require_POST
@page("production.work")
def part_move(request: PortalRequest, part_id: UUID) -> HttpResponse:
    """Write down what came in, went to scrap or was counted."""
    found, form = _part(part_id), MovementForm(request.POST)
    if not form.is_valid():
        messages.error(request, "Say what happened, and how many.")
        return redirect("frontend:spare-part", part_id=found.pk)
    said, at = form.cleaned_data, timezone.now()
    amount: Decimal = said["quantity"]
    if said["reason"] == StockMovement.Reason.COUNT:
        services.count_stock(
            part=found, counted=amount, at=at, by=request.user, request_id=said["request_id"]
        )
    elif amount:
        is_gone = said["reason"] == StockMovement.Reason.SCRAP
        services.move_stock(
            part=found, quantity=-amount if is_gone else amount, reason=said["reason"], at=at,
            by=request.user, note=said["note"], request_id=said["request_id"],
        )  # fmt: skip
    return redirect("frontend:spare-part", part_id=found.pk)


def _part(part_id: UUID) -> SparePart:
    try:
        return selectors.spare_part(part_id)
    except SparePart.DoesNotExist:
        raise Http404 from None
