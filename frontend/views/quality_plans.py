"""Inspection plans and kinds of defects: their lists, one plan, and the forms."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from frontend import quality_charts, quality_forms, quality_rows
from frontend.formats import amount, exact, moment, money
from frontend.pages import may, page
from frontend.quality_forms import CharacteristicFormSet, DefectForm, PlanForm
from production import selectors, services
from production.models import Characteristic, InspectionPlan
from telemetry import device_list
from tenants.requests import PortalRequest

N_TABLE_ROWS = 20


@require_GET
@page("production.view")
def plan_list(request: PortalRequest) -> HttpResponse:
    counts = selectors.plan_counts()
    show_all = request.GET.get("show") == "all"
    plans = selectors.inspection_plans()
    if not show_all:
        plans = plans.exclude(state=InspectionPlan.State.OBSOLETE)
    rows = []
    for plan in plans:
        n, n_failed, last_at = counts.get(plan.pk, (0, 0, None))
        rows.append(
            {
                "plan": plan,
                "sampling": quality_rows.sampling_words(plan),
                "n": amount(n),
                "n_failed": amount(n_failed),
                "last": moment(last_at),
            }
        )
    context = {
        "rows": rows, "show_all": show_all, "may_manage": may(request, "production.manage"),
    }  # fmt: skip
    return render(request, "frontend/quality/plans.html", context)


@require_GET
@page("production.view")
def plan(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    found = _plan(inspection_plan_id)
    currency = request.factory.currency
    context = {
        "plan": found,
        "sampling": quality_rows.sampling_words(found),
        "characteristics": [_characteristic(row) for row in found.characteristics.all()],
        "curve": quality_charts.acceptance_chart(found),
        "escape_cost": money(found.escape_cost_minor, currency),
        "false_reject_cost": money(found.false_reject_cost_minor, currency),
        "is_obsolete": found.state == InspectionPlan.State.OBSOLETE,
        "may_manage": may(request, "production.manage"),
        "may_record": may(request, "production.record"),
    }
    return render(request, "frontend/quality/plan.html", context)


def _characteristic(row: Characteristic) -> dict[str, Any]:
    is_measured = row.kind == Characteristic.Kind.VARIABLE
    values = selectors.values_in_time(row) if is_measured else []
    return {
        "row": row,
        "limits": quality_rows.limits_words(row),
        "nominal": exact(row.nominal) if row.nominal is not None else "",
        "chart": quality_charts.values_chart(row, values),
        "newest": [
            (moment(v.measured_at), exact(v.value), v.is_within)
            for v in values[: -N_TABLE_ROWS - 1 : -1]
        ],
        "n_values": len(values),
    }


@require_GET
@page("production.view")
def values_csv(
    request: PortalRequest, inspection_plan_id: UUID, characteristic_id: UUID
) -> HttpResponse:
    """Answer the values of one characteristic as a table; times are UTC."""
    found = _plan(inspection_plan_id)
    row = next((c for c in found.characteristics.all() if c.pk == characteristic_id), None)
    if row is None:
        raise Http404
    header = ("measured_at", "value", "unit", "is_within", "inspection")
    lines = [
        (v.measured_at.isoformat(), exact(v.value), row.unit,
         "yes" if v.is_within else "no", str(v.inspection_id))
        for v in selectors.values_in_time(row)
    ]  # fmt: skip
    response = HttpResponse(
        device_list.written(header, lines), content_type="text/csv; charset=utf-8"
    )
    response.headers["Content-Disposition"] = 'attachment; filename="values.csv"'
    return response


@require_http_methods(["GET", "POST"])
@page("production.manage")
def plan_new(request: PortalRequest) -> HttpResponse:
    return _edit(request, None)


@require_http_methods(["GET", "POST"])
@page("production.manage")
def plan_revise(request: PortalRequest, inspection_plan_id: UUID) -> HttpResponse:
    return _edit(request, _plan(inspection_plan_id))


def _edit(request: PortalRequest, known: InspectionPlan | None) -> HttpResponse:
    currency, data = request.factory.currency, request.POST or None
    form = PlanForm(
        data, products=list(selectors.products()), currency=currency, is_new=known is None,
        initial=quality_forms.plan_initial(known, currency=currency) if known else None,
    )  # fmt: skip
    lines = CharacteristicFormSet(
        data, prefix="line",
        form_kwargs={"defects": list(selectors.defect_types())},
        initial=quality_forms.characteristic_initial(known) if known else None,
    )  # fmt: skip
    if request.method == "POST" and form.is_valid() and lines.is_valid():
        try:
            saved = _save(request, form, lines, known)
        except services.NotPossible as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"Version {saved.version} of {saved.name} is in force.")
            return redirect("frontend:inspection-plan", inspection_plan_id=saved.pk)
    context = {"form": form, "lines": lines, "plan": known}
    status = 422 if form.errors or any(lines.errors) else 200
    return render(request, "frontend/quality/plan_form.html", context, status=status)


@transaction.atomic
def _save(
    request: PortalRequest, form: PlanForm, lines: Any, known: InspectionPlan | None
) -> InspectionPlan:
    fields = form.plan_fields(quality_forms.characteristic_rows(lines))
    at, by = timezone.now(), request.user
    if known is not None:
        return services.revise_inspection_plan(plan_id=known.pk, fields=fields, at=at, by=by)
    said = form.cleaned_data
    product_id = UUID(said["product"]) if said["product"] else services.make_product(
        item_no=said["item_no"], name=said["item_name"]
    ).pk  # fmt: skip
    return services.make_inspection_plan(product_id=product_id, fields=fields, at=at, by=by)


@require_http_methods(["GET", "POST"])
@page("production.view")
def defect_types(request: PortalRequest) -> HttpResponse:
    """Show the kinds of defects, and take another one from those who may say so."""
    may_manage, currency = may(request, "production.manage"), request.factory.currency
    form = DefectForm(request.POST or None)
    if request.method == "POST" and may_manage and form.is_valid():
        said = dict(form.cleaned_data)
        cost_minor = quality_forms.minor(said.pop("escape_cost"), currency)
        saved = services.save_defect_type(**said, escape_cost_minor=cost_minor)
        messages.success(request, f"{saved.name} is known.")
        return redirect("frontend:defect-types")
    rows = [(row, money(row.escape_cost_minor, currency)) for row in selectors.defect_types()]
    context = {"rows": rows, "form": form, "may_manage": may_manage, "currency": currency}
    status = 422 if form.errors else 200
    return render(request, "frontend/quality/defects.html", context, status=status)


def _plan(inspection_plan_id: UUID) -> InspectionPlan:
    try:
        return selectors.inspection_plan(inspection_plan_id)
    except InspectionPlan.DoesNotExist:
        raise Http404 from None
