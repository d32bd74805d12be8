"""Devices and their keys."""

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import device_page, fleet, steps
from frontend.device_forms import DeviceForm
from frontend.pages import answer, may, page
from production import selectors as production_selectors
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from telemetry.models import Device
from telemetry.selectors import FleetQuery
from tenants import credentials, selectors
from tenants.requests import PortalRequest

DEVICES_A_PAGE = 50


@require_GET
@page("telemetry.view")
def device_list(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    query = fleet.query_of(request.GET)
    counts = telemetry_selectors.n_by_state(at=at, query=query)
    found = Paginator(telemetry_selectors.fleet(at=at, query=query), DEVICES_A_PAGE)
    chosen = found.get_page(request.GET.get("page"))
    devices = list(chosen.object_list)
    rates = telemetry_selectors.readings_per_min([device.pk for device in devices], at=at)
    context = {
        "devices": fleet.rows(devices, rates),
        "chosen": chosen,
        "n_found": found.count,
        "query": query,
        "is_filtered": query != FleetQuery(),
        "chips": fleet.chips(query, counts),
        "groups": telemetry_selectors.groups(),
        "tags": telemetry_selectors.tags(),
        "may_manage": may(request, "telemetry.manage_devices"),
    }
    return answer(request, "frontend/devices/list.html", context, part="found")


@require_GET
@page("telemetry.view")
def device_detail(request: PortalRequest, device_id: int) -> HttpResponse:
    """Show a device; its live part and the judgement of its data are asked for by themselves."""
    device = _device(device_id)
    match request.GET.get("part"):
        case "live":
            return render(request, "frontend/devices/live.html", {"live": _live(device)})
        case "quality":
            found = telemetry_selectors.device_quality(
                device_id=device.pk,
                at=timezone.now(),
                zone=ZoneInfo(request.factory.time_zone),
            )
            context = {"quality": device_page.quality(found)}
            return render(request, "frontend/devices/quality.html", context)
    return _page(request, device)


@require_POST
@page("telemetry.manage_devices")
def device_change(request: PortalRequest, device_id: int) -> HttpResponse:
    device = _device(device_id)
    form = DeviceForm(request.POST, machines=list(production_selectors.machines()))
    if form.is_valid():
        try:
            changes = form.changes(device)
            if changes:
                telemetry_services.change_device(device=device, changes=changes, by=request.user)
        except telemetry_services.NameTaken:
            form.add_error("name", "Another device has this name.")
        else:
            messages.success(request, "The changes are kept.")
            return redirect("frontend:device", device_id=device.pk)
    return _page(request, _device(device_id), form=form)


@require_POST
@page("telemetry.manage_devices")
def device_retire(request: PortalRequest, device_id: int) -> HttpResponse:
    device = _device(device_id)
    telemetry_services.retire_device(device=device, at=timezone.now(), by=request.user)
    messages.success(request, f"{device.name} is retired. Its keys are ended, its readings stay.")
    return redirect("frontend:device", device_id=device.pk)


@require_POST
@page("telemetry.manage_devices")
def key_new(request: PortalRequest, device_id: int) -> HttpResponse:
    """Make a second key and show it, this once: only the page that answers has it."""
    device = _device(device_id)
    try:
        token = telemetry_services.rotate_token(device=device, by=request.user)
    except credentials.TooManyTokens:
        messages.error(request, "Two keys are valid at a time. End one to make another.")
    except telemetry_services.DeviceRetired:
        messages.error(request, f"{device.name} is retired and takes no new key.")
    else:
        return _page(request, device, token=token)
    return redirect("frontend:device", device_id=device.pk)


@require_POST
@page("telemetry.manage_devices")
def key_revoke(request: PortalRequest, device_id: int, credential_id: int) -> HttpResponse:
    device = _device(device_id)
    try:
        telemetry_services.revoke_token(device=device, credential_id=credential_id, by=request.user)
    except telemetry_services.NoSuchToken:
        raise Http404 from None
    messages.success(request, "The key is ended. Whoever uses it is refused within 5 s.")
    return redirect("frontend:device", device_id=device.pk)


def _device(device_id: int) -> Device:
    try:
        return telemetry_selectors.fleet_device(device_id, at=timezone.now())
    except Device.DoesNotExist:
        raise Http404 from None


def _live(device: Device) -> device_page.Live:
    latest = telemetry_selectors.latest_values([device.pk]).get(device.pk)
    health = telemetry_selectors.health(device)
    return device_page.live(device, health, latest, now=timezone.now())


def _page(
    request: PortalRequest, device: Device, *, token: str = "", form: DeviceForm | None = None
) -> HttpResponse:
    now = timezone.now()
    may_manage = may(request, "telemetry.manage_devices")
    signals = list(telemetry_selectors.signals_of([device.pk]))
    latest = telemetry_selectors.latest_values([device.pk]).get(device.pk)
    names = steps.names_of(signals, device_id=device.pk, latest=latest, may_edit=may_manage)
    keys = list(selectors.device_keys(request.factory, device_id=device.pk))
    n_valid = sum(key.revoked_at is None for key in keys)
    context = {
        "device": device,
        "live": _live(device),
        "facts": device_page.facts(device, now),
        "revisions": device_page.revisions(device.pk, signals, now=now),
        "token": token,
        "names": replace(names, with_ranges=True),
        "credentials": keys,
        "may_manage": may_manage and device.retired_at is None,
        "may_add_key": n_valid < credentials.VALID_AT_A_TIME,
        "url": reverse("frontend:device", args=[device.pk]),
        **_form_context(device, form, may_manage=may_manage),
    }
    status = 422 if form is not None else 200
    return render(request, "frontend/devices/detail.html", context, status=status)


def _form_context(device: Device, form: DeviceForm | None, *, may_manage: bool) -> dict[str, Any]:
    if not may_manage:
        return {}
    initial = {
        "name": device.name,
        "machine": str(device.machine_id or ""),
        "group": device.group,
        "tags": " ".join(device.tags),
        "note": device.note,
    }
    machines = list(production_selectors.machines())
    return {
        "form": form or DeviceForm(initial=initial, machines=machines),
        "groups": telemetry_selectors.groups(),
    }
