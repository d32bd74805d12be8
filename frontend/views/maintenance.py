"""Maintenance: the list of work orders, one order, and what its buttons do."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import order_actions, order_rows
from frontend.order_forms import ReportForm
from frontend.pages import answer, may, page
from production import selectors, services
from production.models import Failure, OrderPhoto, SparePart, WorkOrder
from tenants import people, storage
from tenants.models import User
from tenants.requests import PortalRequest

N_MOST = 300
SHOWN = ("open", "mine", "done", "closed")


@require_GET
@page("production.view")
def order_list(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    show = request.GET.get("show", "open")
    show = show if show in SHOWN else "open"
    machines = list(selectors.machines(include_retired=True))
    machine = next((m for m in machines if str(m.pk) == request.GET.get("machine")), None)
    kind = request.GET.get("kind", "")
    kind = kind if kind in WorkOrder.Kind.values else ""
    rows = selectors.open_orders() if show in ("open", "mine") else selectors.work_orders()
    rows = rows.filter(_filters(request)[show])
    if machine:
        rows = rows.filter(machine=machine)
    if kind:
        rows = rows.filter(kind=kind)
    counts = selectors.work_orders().order_by().aggregate(
        **{name: Count("pk", filter=condition) for name, condition in _filters(request).items()}
    )  # fmt: skip
    context = {
        "groups": order_rows.groups(list(rows[:N_MOST]), at=at),
        "chips": order_rows.chips(counts, chosen=show),
        "words": _words(counts, at),
        "show": show,
        "machines": machines,
        "machine": machine,
        "kinds": WorkOrder.Kind.choices,
        "kind": kind,
        "is_filtered": bool(machine or kind or show != "open"),
        "is_empty": not any(counts.values()),
        "may_work": may(request, "production.work"),
        "may_plan": may(request, "production.plan_work"),
    }
    return answer(request, "frontend/maintenance/list.html", context, part="found")


def _filters(request: PortalRequest) -> dict[str, Q]:
    closed = (WorkOrder.State.VERIFIED, WorkOrder.State.REJECTED)
    is_open = Q(state__in=WorkOrder.OPEN)
    return {
        "open": is_open,
        "mine": is_open & Q(assigned_to=request.user.pk),
        "done": Q(state=WorkOrder.State.DONE),
        "closed": Q(state__in=closed),
    }


def _words(counts: dict[str, int], at: datetime) -> str:
    late = selectors.open_orders().filter(due_by__lte=at).count()
    words = f"{counts['open']} open"
    return f"{words}, {late} late." if late else f"{words}, none late."


@require_http_methods(["GET", "POST"])
@page("production.work")
def order_new(request: PortalRequest) -> HttpResponse:
    machines = list(selectors.machines())
    form = ReportForm(
        request.POST or None, machines=machines, initial={"machine": request.GET.get("machine")}
    )
    if request.method == "POST" and form.is_valid():
        order = services.create_work_order(
            at=timezone.now(), by=request.user, is_approved=may(request, "production.plan_work"),
            **form.fields_of_order(),
        )  # fmt: skip
        messages.success(request, f"{order.label} is written down.")
        target = "order-work" if request.POST.get("back") == "work" else "order"
        return done(request, reverse(f"frontend:{target}", args=[order.pk]))
    status = 422 if form.errors else 200
    if status == 422 and request.headers.get("X-Takt-Keep"):
        return JsonResponse({"error": form.first_error()}, status=status)
    return render(request, "frontend/maintenance/new.html", {"form": form}, status=status)


@require_GET
@page("production.view")
def order_detail(request: PortalRequest, order_id: UUID) -> HttpResponse:
    context = order_context(request, order_id)
    context["members"] = [m.user for m in people.members(request.factory)]
    return render(request, "frontend/maintenance/order.html", context)


@require_GET
@page("production.view")
def order_work(request: PortalRequest, order_id: UUID) -> HttpResponse:
    """Show an order to a technician with a phone."""
    return render(request, "frontend/maintenance/work.html", order_context(request, order_id))


def order_context(request: PortalRequest, order_id: UUID) -> dict[str, Any]:
    may_work, may_plan = may(request, "production.work"), may(request, "production.plan_work")
    view = order_rows.view(
        _order(order_id), at=timezone.now(), may_work=may_work, may_plan=may_plan
    )
    return {
        "view": view,
        "order": view.order,
        "parts": _parts(view.order) if view.can_work else (),
        "verdicts": WorkOrder.Verdict.choices,
        "modes": Failure.Mode.choices,
        "mechanisms": Failure.Mechanism.choices,
        "causes": Failure.Cause.choices,
        "detections": Failure.Detection.choices,
        "may_plan": may_plan,
        "me": str(request.user),
    }


def _parts(order: WorkOrder) -> list[SparePart]:
    """Return the parts that may be used, those that are set aside for the order first."""
    planned = {row.part_id for row in order.parts.all()}
    return sorted(selectors.spare_parts(), key=lambda part: (part.pk not in planned, part.name))


@require_POST
@page("production.work")
def order_act(request: PortalRequest, order_id: UUID) -> HttpResponse:
    """Do what one of the order's forms asks; each names its action."""
    order = _order(order_id)
    target = "order-work" if request.POST.get("back") == "work" else "order"
    url = reverse(f"frontend:{target}", args=[order.pk])
    members: dict[int, User] = {m.user.pk: m.user for m in people.members(request.factory)}
    try:
        order_actions.act(
            order=order, sent=order_actions.Sent(request.POST, request.FILES, members),
            by=request.user, role=request.membership.role, at=timezone.now(),
        )  # fmt: skip
    except order_actions.NotAllowed as error:
        raise PermissionDenied(str(error)) from error
    except order_actions.Refused as refusal:
        if request.headers.get("X-Takt-Keep"):
            return JsonResponse({"error": str(refusal)}, status=409)
        messages.error(request, str(refusal))
    return done(request, url)


def done(request: PortalRequest, url: str) -> HttpResponse:
    """Answer a form that was taken: the script that keeps what was typed may forget it now."""
    if request.headers.get("X-Takt-Keep"):
        return JsonResponse({"next": url})
    return redirect(url)


@require_GET
@page("production.view")
def order_photo(request: PortalRequest, order_id: UUID, photo_id: UUID) -> HttpResponse:
    """Answer a photo as a file that no browser takes for anything else."""
    try:
        photo = selectors.order_photo(order_id=order_id, photo_id=photo_id)
        content = storage.get_bytes(key=photo.object_key)
    except (OrderPhoto.DoesNotExist, storage.ObjectMissing):
        raise Http404 from None
    except storage.StorageUnavailable:
        return HttpResponse("The store for photos does not answer.", status=503)
    response = HttpResponse(content, content_type="image/jpeg")
    response.headers["Content-Disposition"] = f'attachment; filename="{photo.pk}.jpg"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _order(order_id: UUID) -> WorkOrder:
    try:
        return selectors.work_order(order_id)
    except WorkOrder.DoesNotExist:
        raise Http404 from None
