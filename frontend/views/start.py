"""First steps: connect a device, see its first reading, say what it measures."""

from dataclasses import replace

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from frontend import connecting, steps
from frontend.commands import commands
from frontend.forms import ConnectForm
from frontend.pages import answer, may, page
from frontend.recipes import recipes
from frontend.views.public import ca_file
from production import selectors as production_selectors
from production.services import MachineLimitReached
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from telemetry.models import Device
from tenants import entry
from tenants.requests import PortalRequest


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_devices")
def start(request: PortalRequest) -> HttpResponse:
    """Ask for a name, make machine and device, and show the key on the page that answers."""
    machines = list(production_selectors.machines())
    form = ConnectForm(request.POST or None, machines=machines, initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        try:
            device, token = connecting.connect(wish=form.wish(), by=request.user)
        except telemetry_services.NameTaken:
            form.add_error("name", "Another device has this name.")
        except MachineLimitReached as refusal:
            form.add_error(
                None, f"Your plan covers {refusal.max_machines} machines. A larger plan makes room."
            )
        else:
            return _device_page(request, device, token=token, way=form.cleaned_data["way"])
    kinds = [kind.name for kind in production_selectors.machine_types()]
    context = {
        "form": form,
        "steps": steps.steps(at=2, host=_host(request)),
        "heading": "Connect a device" if machines else "Connect your first device",
        "machine_types": sorted({*kinds, *connecting.USUAL_KINDS}),
        "may_invite": may(request, "members.manage"),
    }
    return render(
        request, "frontend/start/connect.html", context, status=422 if form.errors else 200
    )


@require_GET
@page("telemetry.view")
def device_steps(request: PortalRequest, device_id: int) -> HttpResponse:
    return _device_page(request, _device(device_id))


@require_POST
@page("telemetry.manage_devices")
def name_signals(request: PortalRequest, device_id: int) -> HttpResponse:
    """Take over the names, units and roles that people confirmed or corrected."""
    device = _device(device_id)
    signals = list(telemetry_selectors.signals_of([device.pk]))
    try:
        connecting.name_signals(signals=signals, posted=request.POST, by=request.user)
    except connecting.BadRange as refusal:
        messages.error(request, f"Nothing was kept. {refusal}")
    else:
        messages.success(request, f"The names of {device.name} are kept. Old readings follow.")
    target = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(target, allowed_hosts=None):
        target = reverse("frontend:device", args=[device.pk])
    return redirect(target)


def _device(device_id: int) -> Device:
    try:
        return telemetry_selectors.device(device_id)
    except Device.DoesNotExist:
        raise Http404 from None


def _device_page(
    request: PortalRequest, device: Device, *, token: str = "", way: str = ""
) -> HttpResponse:
    may_manage = may(request, "telemetry.manage_devices")
    arrived = connecting.arrived(device, may_edit=may_manage, now=timezone.now())
    url = reverse("frontend:start-device", args=[device.pk])
    # The page that answers a POST has another address than its live part.
    arrived = replace(arrived, url=url)
    authority = ca_file()
    context = {
        "device": device,
        "token": token,
        "commands": commands(
            base_url=settings.DEVICE_URL,
            token=token,
            ca_file=authority,
            made_up_first=way == connecting.MADE_UP,
        ),
        "recipes": recipes(base_url=settings.DEVICE_URL, token=token, ca_file=authority),
        "ca_url": _certificate_url() if authority else "",
        "steps": steps.steps(
            at=3 if arrived.n_received else 2, host=_host(request), device_url=url
        ),
        "arrived": arrived,
        "may_manage": may_manage,
    }
    return answer(request, "frontend/start/device.html", context, part="arrived")


def _initial(request: PortalRequest) -> dict[str, str]:
    return {"machine": request.GET.get("machine", ""), "way": connecting.GATEWAY}


def _host(request: PortalRequest) -> str:
    return entry.portal_url(request.factory, "").removeprefix("https://")


def _certificate_url() -> str:
    path = reverse("frontend:certificate", urlconf=settings.PUBLIC_SCHEMA_URLCONF)
    return f"{settings.BASE_URL}{path}"
