"""Quality: what needs doing, how good what is made is, inspections, nonconformances."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import quality_card, quality_forms, quality_rows, vision_card
from frontend.pages import answer, may, page
from frontend.quality_forms import DecideForm, MeasuringField, SaidForm
from frontend.views.maintenance import done
from production import selectors, services
from production.models import (
    Characteristic,
    Inspection,
    InspectionPlan,
    Lot,
    Nonconformance,
    Verdict,
)
from telemetry import device_list
from tenants.requests import PortalRequest

NcState = Nonconformance.State
PERIOD = timedelta(days=30)
LATE = timedelta(hours=1)
N_MOST = 8
N_A_PAGE = 50
N_EXPORTED = 20_000


@require_GET
@page("production.view")
def home(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    since, currency = at - PERIOD, request.factory.currency
    due, open_ones = selectors.due_inspections(), selectors.open_nonconformances()
    steps = selectors.yields_by_step(since=since, until=at)
    n_due, n_open = due.count(), open_ones.count()
    defects = selectors.defect_pareto(since=since, until=at)
    pairs = selectors.inspector_agreement(since=since, until=at)
    context = {
        "is_empty": not selectors.inspection_plans().exists(),
        "words": _words(n_due, n_open),
        "figures": quality_rows.figures(
            n_due=n_due, n_late=due.filter(due_at__lt=at - LATE).count(), n_open=n_open,
            steps=steps, cost_minor=selectors.cost_of_defects(since=since, until=at),
            currency=currency,
        ),
        "due": [quality_rows.inspection_row(row, at=at) for row in due[:N_MOST]],
        "n_due": n_due,
        "open": [quality_rows.nonconformance_row(row, at=at) for row in open_ones[:N_MOST]],
        "n_open": n_open,
        "steps": quality_rows.yield_rows(steps),
        "machines": quality_rows.yield_rows(selectors.yields_by_machine(since=since, until=at)),
        "risky": quality_card.at_risk(at=at),
        "defects": quality_rows.pareto_rows(defects, currency=currency),
        "pairs": quality_rows.pair_rows(pairs),
        "n_disputed": len(selectors.disputed_inspections(since=since, until=at)),
        "may_record": may(request, "production.record"),
        "may_manage": may(request, "production.manage"),
    }  # fmt: skip
    return render(request, "frontend/quality/home.html", context)


def _words(n_due: int, n_open: int) -> str:
    if not n_due and not n_open:
        return "Nothing is to be inspected and nothing waits for a decision."
    inspections = "inspection is" if n_due == 1 else "inspections are"
    waiting = "nonconformance is" if n_open == 1 else "nonconformances are"
    return f"{n_due or 'No'} {inspections} due, {n_open or 'no'} {waiting} open."


@require_GET
@page("production.view")
def inspection_list(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    show = request.GET.get("show", "")
    found = Paginator(_shown(show), N_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": found,
        "rows": [quality_rows.inspection_row(row, at=at) for row in found],
        "show": show,
        "choices": (("", "All"), ("due", "Due"), ("missed", "Missed"), ("fail", "Failed"),
                    ("unclear", "Not clear"), ("disputed", "Disputed")),
        "may_record": may(request, "production.record"),
    }  # fmt: skip
    return answer(request, "frontend/quality/inspections.html", context, part="found")


def _shown(show: str) -> Any:
    at = timezone.now()
    rows = selectors.inspections()
    if show == "due":
        return selectors.due_inspections()
    if show in Verdict.values:
        return rows.filter(verdict=show)
    if show == "missed":
        return rows.filter(state=Inspection.State.MISSED)
    if show == "disputed":
        return rows.filter(pk__in=selectors.disputed_inspections(since=at - PERIOD, until=at))
    return rows


@require_GET
@page("production.view")
def inspections_csv(request: PortalRequest) -> HttpResponse:
    """Answer the newest inspections as a table, in which no cell is a formula."""
    rows = selectors.inspections_in_full()[:N_EXPORTED]
    text = device_list.written(quality_rows.CSV_HEADER, map(quality_rows.csv_row, rows))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = 'attachment; filename="inspections.csv"'
    return response


# -- one inspection


@require_GET
@page("production.view")
def inspection(request: PortalRequest, inspection_id: UUID) -> HttpResponse:
    at = timezone.now()
    found = _inspection(inspection_id)
    initial = {"request_id": uuid4(), "verdict": found.verdict}
    context = {
        "inspection": found,
        "row": quality_rows.inspection_row(found, at=at),
        "measurements": [quality_rows.measurement_row(m) for m in found.measurements.all()],
        "verdicts": quality_rows.verdict_rows(found, at=at),
        "disagreement": quality_rows.disagreement(found),
        "nonconformance": getattr(found, "nonconformance", None),
        "pictures": vision_card.card_of_inspection(found.pk, at=at),
        "form": SaidForm(defects=list(selectors.defect_types()), initial=initial),
        "may_record": may(request, "production.record"),
        "is_done": found.state == Inspection.State.DONE,
    }
    return render(request, "frontend/quality/inspection.html", context)


@require_POST
@page("production.record")
def inspection_judge(request: PortalRequest, inspection_id: UUID) -> HttpResponse:
    """Take a reviewer's verdict."""
    found = _inspection(inspection_id)
    form = SaidForm(request.POST, defects=list(selectors.defect_types()))
    if not form.is_valid() or not form.cleaned_data["verdict"]:
        return _refuse(request, "Say pass, fail or not clear.", _url("inspection", found.pk))
    said = form.cleaned_data
    try:
        services.judge(
            inspection_id=found.pk, verdict=said["verdict"], at=timezone.now(), by=request.user,
            note=said["note"], defects=form.counts(), request_id=said["request_id"],
        )  # fmt: skip
    except services.NotPossible as refusal:
        return _refuse(request, str(refusal), _url("inspection", found.pk))
    return done(request, _url("inspection", found.pk))


def _refuse(request: PortalRequest, text: str, url: str) -> HttpResponse:
    """Say why a form was not taken; what was typed is kept by its script."""
    if request.headers.get("X-Takt-Keep"):
        return JsonResponse({"error": text}, status=409)
    messages.error(request, text)
    return redirect(url)


def _url(name: str, pk: UUID) -> str:
    return reverse(f"frontend:{name}", args=[pk])


def _inspection(inspection_id: UUID) -> Inspection:
    try:
        return selectors.inspection(inspection_id)
    except Inspection.DoesNotExist:
        raise Http404 from None


@require_http_methods(["GET", "POST"])
@page("production.record")
def record(request: PortalRequest) -> HttpResponse:
    """Inspect by hand: first which plan and lot, then what is found."""
    sent = request.POST if request.method == "POST" else request.GET
    plans = list(selectors.inspection_plans().filter(state=InspectionPlan.State.RELEASED))
    due = _due(sent.get("due", ""))
    plan = next((p for p in plans if str(p.pk) == sent.get("plan", "")), None)
    code, piece = sent.get("lot", "").strip()[:60], sent.get("piece", "").strip()[:60]
    if due is not None:
        plan = next((p for p in plans if p.pk == due.plan_id), None)
        code, piece = due.lot.code if due.lot else code, due.piece
    lot = selectors.lots().filter(product=plan.product, code=code).first() if plan else None
    fields = _fields(plan) if plan else []
    if request.method == "POST" and plan is not None and lot is not None:
        return _record(request, plan, lot, piece, fields)
    context = {
        "plans": plans,
        "plan": plan,
        "code": code,
        "piece": piece,
        "lot": lot,
        "fields": fields,
        "form": SaidForm(
            defects=list(selectors.defect_types()), initial={"request_id": uuid4(), "verdict": ""}
        ),
        "problem": f"No lot of this product has the code {code}." if plan and code else "",
    }
    return render(request, "frontend/quality/record.html", context)


def _due(text: str) -> Inspection | None:
    try:
        return _inspection(UUID(text)) if text else None
    except ValueError:
        return None


def _fields(plan: InspectionPlan) -> list[MeasuringField]:
    return [
        MeasuringField(
            row, f"c{row.position}", row.kind == Characteristic.Kind.VARIABLE,
            quality_rows.limits_words(row),
        )
        for row in plan.characteristics.all()
    ]  # fmt: skip


def _record(
    request: PortalRequest,
    plan: InspectionPlan,
    lot: Lot,
    piece: str,
    fields: list[MeasuringField],
) -> HttpResponse:
    form = SaidForm(request.POST, defects=list(selectors.defect_types()))
    again = f"{reverse('frontend:inspection-record')}?plan={plan.pk}"
    if not form.is_valid():
        return _refuse(request, "Something was not understood. Look at it again.", again)
    said = form.cleaned_data
    try:
        found = services.record_inspection(
            plan_id=plan.pk, lot_id=lot.pk, piece=piece, at=timezone.now(), by=request.user,
            measurements=quality_forms.measured(fields, request.POST), verdict=said["verdict"],
            defects=form.counts(), note=said["note"], request_id=said["request_id"],
        )  # fmt: skip
    except (services.NotPossible, quality_forms.NotANumber) as refusal:
        return _refuse(request, str(refusal), again)
    messages.success(request, f"{found}: {found.get_verdict_display().lower()}.")
    return done(request, _url("inspection", found.pk))


# -- nonconformances


@require_GET
@page("production.view")
def nonconformance_list(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    show = request.GET.get("show", "open")
    rows = selectors.nonconformances() if show == "all" else selectors.open_nonconformances()
    found = Paginator(rows, N_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "page": found,
        "rows": [quality_rows.nonconformance_row(row, at=at) for row in found],
        "show": show,
    }
    return answer(request, "frontend/quality/nonconformances.html", context, part="found")


@require_GET
@page("production.view")
def nonconformance(request: PortalRequest, nonconformance_id: UUID) -> HttpResponse:
    found = _nonconformance(nonconformance_id)
    context = {
        "found": found,
        "row": quality_rows.nonconformance_row(found, at=timezone.now()),
        "form": DecideForm(initial={"request_id": uuid4(), "disposition": found.disposition}),
        "may_contain": may(request, "production.record") and found.state == NcState.OPEN,
        "may_decide": may(request, "production.plan_work") and found.state != NcState.CLOSED,
        "may_close": may(request, "production.plan_work") and found.state == NcState.DISPOSITIONED,
    }
    return render(request, "frontend/quality/nonconformance.html", context)


@require_POST
@page("production.record")
def nonconformance_act(request: PortalRequest, nonconformance_id: UUID) -> HttpResponse:
    """Take a step in the life of a nonconformance; each form names its action."""
    found = _nonconformance(nonconformance_id)
    action = request.POST.get("action", "")
    form = DecideForm(request.POST)
    form.fields["disposition"].required = action == "decide"
    url = _url("nonconformance", found.pk)
    if action != "contain" and not may(request, "production.plan_work"):
        raise PermissionDenied("production.plan_work")
    if not form.is_valid():
        return _refuse(request, "Say what becomes of it.", url)
    said = form.cleaned_data
    step: dict[str, Any] = {
        "nonconformance_id": found.pk, "at": timezone.now(), "by": request.user,
        "text": said["text"], "request_id": said["request_id"],
    }  # fmt: skip
    try:
        if action == "contain":
            services.contain_nonconformance(**step)
        elif action == "decide":
            cost_minor = quality_forms.minor(said["cost"], found.currency)
            services.decide_nonconformance(
                **step, disposition=said["disposition"], cost_minor=cost_minor
            )
        elif action == "close":
            services.close_nonconformance(**step)
        else:
            return _refuse(request, "There is no such step.", url)
    except services.NotPossible as refusal:
        return _refuse(request, str(refusal), url)
    return done(request, url)


def _nonconformance(nonconformance_id: UUID) -> Nonconformance:
    try:
        return selectors.nonconformance(nonconformance_id)
    except Nonconformance.DoesNotExist:
        raise Http404 from None
