"""Devices and their keys."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import fleet, steps
from frontend.pages import may, page
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from telemetry.models import Device
from tenants import credentials, selectors
from tenants.requests import PortalRequest


@require_GET
@page("telemetry.view")
def device_list(request: PortalRequest) -> HttpResponse:
    devices = list(telemetry_selectors.devices(include_retired=True))
    latest = telemetry_selectors.latest_values([device.pk for device in devices])
    context = {
        "devices": fleet.rows(devices, latest),
        "may_manage": may(request, "telemetry.manage_devices"),
    }
    return render(request, "frontend/devices/list.html", context)


@require_GET
@page("telemetry.view")
def device_detail(request: PortalRequest, device_id: int) -> HttpResponse:
    return _page(request, _device(device_id))


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
        return telemetry_selectors.device(device_id)
    except Device.DoesNotExist:
        raise Http404 from None


def _page(request: PortalRequest, device: Device, *, token: str = "") -> HttpResponse:
    now = timezone.now()
    latest = telemetry_selectors.latest_values([device.pk]).get(device.pk)
    may_manage = may(request, "telemetry.manage_devices")
    keys = list(selectors.device_keys(request.factory, device_id=device.pk))
    n_valid = sum(key.revoked_at is None for key in keys)
    context = {
        "device": fleet.detail(device, latest, now=now),
        "token": token,
        "names": steps.names_of(
            list(telemetry_selectors.signals_of([device.pk])),
            device_id=device.pk,
            values=dict(latest.values) if latest else {},
            may_edit=may_manage,
        ),
        "credentials": keys,
        "may_manage": may_manage and device.retired_at is None,
        "may_add_key": n_valid < credentials.VALID_AT_A_TIME,
        "url": reverse("frontend:device", args=[device.pk]),
    }
    return render(request, "frontend/devices/detail.html", context)
