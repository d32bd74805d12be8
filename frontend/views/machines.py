"""Machines: the list, and the page of one with its charts, states and remaining life."""

import csv
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from analytics import selectors as analytics_selectors
from frontend import floor, machine_page, series
from frontend.pages import answer, may, page
from mlops import services as mlops_services
from production import selectors as production_selectors
from production.models import Machine
from tenants.requests import PortalRequest

PARTS = {"head": "head", "chart": "chart"}


@require_GET
@page("production.view")
def machine_list(request: PortalRequest) -> HttpResponse:
    q = request.GET.get("q", "").strip()[:80]
    at = timezone.now()
    lines = {machine.pk: machine.line.name for machine in production_selectors.machines()}
    tiles = analytics_selectors.machine_tiles(at=at)
    groups: dict[str, machine_page.Group] = {}
    n_machines = 0
    for tile in tiles:
        if q and q.casefold() not in tile.name.casefold():
            continue
        n_machines += 1
        line = lines.get(tile.machine_id, "")
        group = groups.setdefault(line, machine_page.Group(line, []))
        group.tiles.append(floor.tile_of(tile, now=at))
    context = {
        "groups": list(groups.values()),
        "q": q,
        "n_machines": n_machines,
        "may_connect": may(request, "telemetry.manage_devices"),
        "refresh_at": floor.next_change(((str(t.state), t.last_seen_at) for t in tiles), now=at),
    }
    return answer(request, "frontend/machines/list.html", context, part="live")


@require_GET
@page("production.view")
def machine(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    found = machine_page.build(
        _machine(machine_id),
        now=timezone.now(),
        range_code=request.GET.get("range", series.DEFAULT_RANGE),
        wanted=request.GET.getlist("signal"),
        may_connect=may(request, "telemetry.manage_devices"),
        may_train=may(request, "mlops.train"),
    )
    part = PARTS.get(request.GET.get("part", ""), "")
    return answer(request, "frontend/machines/detail.html", {"page": found}, part=part)


@require_GET
@page("telemetry.view")
def machine_series(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    """Answer what the chart draws, as JSON."""
    chosen = _chosen(request, machine_id)
    return JsonResponse(series.chart_json(chosen.signals, chosen.frame))


@require_GET
@page("telemetry.view")
def machine_table(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    chosen = _chosen(request, machine_id)
    context = {
        "name": chosen.machine.name,
        "url": reverse("frontend:machine", args=[machine_id]),
        "table": series.table(chosen.signals, chosen.frame),
    }
    return render(request, "frontend/machines/series_table.html", context)


@require_GET
@page("telemetry.view")
def machine_csv(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    chosen = _chosen(request, machine_id)
    name = f"{slugify(chosen.machine.name)}-{chosen.frame.code}.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    csv.writer(response).writerows(series.csv_rows(chosen.signals, chosen.frame))
    return response


@require_POST
@page("mlops.train")
def train(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    found = _machine(machine_id)
    try:
        mlops_services.request_training(subject_id=found.machine_type_id, by=request.user)
    except mlops_services.NotReady as refusal:
        messages.info(request, str(refusal))
    else:
        messages.success(request, "Learning has begun. The card shows what came of it.")
    return redirect("frontend:machine", machine_id=machine_id)


def _chosen(request: PortalRequest, machine_id: UUID) -> machine_page.Chosen:
    return machine_page.choose(
        _machine(machine_id),
        now=timezone.now(),
        range_code=request.GET.get("range", series.DEFAULT_RANGE),
        wanted=request.GET.getlist("signal"),
    )


def _machine(machine_id: UUID) -> Machine:
    try:
        return production_selectors.machine(machine_id)
    except Machine.DoesNotExist:
        raise Http404 from None
