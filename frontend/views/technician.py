"""What the code on a machine opens, the label that carries it, and how reliable a machine was."""

from uuid import UUID, uuid4

import segno
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_GET

from frontend import order_rows, reliability_card
from frontend.order_forms import ReportForm
from frontend.pages import may, page
from production import selectors
from production.models import Machine, WorkOrder
from tenants.requests import PortalRequest

N_PAST = 5


@require_GET
@page("production.view")
def machine_work(request: PortalRequest, asset_tag: str) -> HttpResponse:
    """Show somebody who stands at a machine what is to be done, and let them report."""
    machine = selectors.machines(include_retired=True).filter(asset_tag=asset_tag).first()
    if machine is None:
        raise Http404
    at, rows = timezone.now(), selectors.orders_for(machine.pk)
    is_open = selectors.open_orders().filter(machine=machine)
    context = {
        "machine": machine,
        "open": [order_rows.row(order, at=at) for order in is_open],
        "past": [
            order_rows.row(order, at=at)
            for order in rows.exclude(state__in=WorkOrder.OPEN)[:N_PAST]
        ],
        "form": ReportForm(
            machines=[machine], initial={"machine": str(machine.pk), "request_id": uuid4()}
        ),
        "may_work": may(request, "production.work"),
    }
    return render(request, "frontend/maintenance/machine.html", context)


@require_GET
@page("production.view")
def machine_label(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    """Show a label to print, with the address of the machine's page as a QR code."""
    machine = _machine(machine_id)
    address = request.build_absolute_uri(reverse("frontend:machine-work", args=[machine.asset_tag]))
    context = {"machine": machine, "address": address, "code": qr_code(address)}
    return render(request, "frontend/maintenance/label.html", context)


def qr_code(address: str) -> str:
    """Draw an address as an SVG that grows with its place; a quarter of it may be dirty.

    Four modules of quiet lie around it, as ISO/IEC 18004 asks.
    """
    rows = list(segno.make(address, error="q", micro=False).matrix_iter(border=4))
    dark = "".join(
        f"M{x} {y}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, is_dark in enumerate(row)
        if is_dark
    )
    return format_html(
        '<svg class="qr" viewBox="0 0 {} {}" shape-rendering="crispEdges"><path d="{}"/></svg>',
        len(rows), len(rows), dark,
    )  # fmt: skip


@require_GET
@page("production.view")
def machine_reliability(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    """Draw the card of MTBF and MTTR; a part of the machine's page that comes after it."""
    card = reliability_card.build(_machine(machine_id), now=timezone.now())
    return render(request, "frontend/maintenance/reliability.html", {"card": card})


def _machine(machine_id: UUID) -> Machine:
    try:
        return selectors.machine(machine_id)
    except Machine.DoesNotExist:
        raise Http404 from None
