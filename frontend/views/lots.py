"""Lots: found by their code, made by hand, and the page of one."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import lot_page
from frontend.pages import answer, may, page
from frontend.quality_forms import LotForm, LotStateForm
from production import selectors, services
from production.models import Lot
from tenants.requests import PortalRequest

N_A_PAGE = 50


@require_GET
@page("production.view")
def lot_list(request: PortalRequest) -> HttpResponse:
    q = request.GET.get("q", "").strip()[:60]
    state = request.GET.get("state", "")
    rows = selectors.lots(q)
    if state in Lot.State.values:
        rows = rows.filter(state=state)
    context = {
        "page": Paginator(rows, N_A_PAGE).get_page(request.GET.get("page")),
        "q": q,
        "state": state,
        "states": Lot.State.choices,
        "is_empty": not q and not state and not rows.exists(),
        "may_record": may(request, "production.record"),
    }
    return answer(request, "frontend/lots/list.html", context, part="found")


@require_http_methods(["GET", "POST"])
@page("production.record")
def lot_new(request: PortalRequest) -> HttpResponse:
    products = list(selectors.products())
    form = LotForm(request.POST or None, products=products)
    if request.method == "POST" and form.is_valid():
        said = dict(form.cleaned_data)
        said["product"] = next(p for p in products if str(p.pk) == said["product"])
        try:
            made = services.make_lot(**said, at=timezone.now(), by=request.user)
        except services.NotPossible as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{made.code} is written down.")
            return redirect("frontend:lot", lot_id=made.pk)
    context = {"form": form, "has_products": bool(products)}
    status = 422 if form.errors else 200
    return render(request, "frontend/lots/new.html", context, status=status)


@require_GET
@page("production.view")
def lot(request: PortalRequest, lot_id: UUID) -> HttpResponse:
    found = _lot(lot_id)
    context: dict[str, Any] = {
        "view": lot_page.lot_page(found, at=timezone.now()),
        "lot": found,
        "may_record": may(request, "production.record"),
    }
    return render(request, "frontend/lots/detail.html", context)


@require_POST
@page("production.record")
def lot_state(request: PortalRequest, lot_id: UUID) -> HttpResponse:
    """Hold, release, ship or scrap a lot."""
    found = _lot(lot_id)
    form = LotStateForm(request.POST)
    if form.is_valid():
        try:
            moved = services.move_lot(
                lot_id=found.pk, at=timezone.now(), by=request.user, **form.cleaned_data
            )
        except services.NotPossible as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, f"{moved.code}: {moved.get_state_display().lower()}.")
    else:
        messages.error(request, "Say what happens to the lot.")
    return redirect("frontend:lot", lot_id=found.pk)


def _lot(lot_id: UUID) -> Lot:
    try:
        return selectors.lot(lot_id)
    except Lot.DoesNotExist:
        raise Http404 from None
