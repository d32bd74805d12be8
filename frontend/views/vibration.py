"""The vibration of a machine: its points, spectra and trend, and the form of a point."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import vibration_page
from frontend.commands import burst_command
from frontend.pages import may, page
from frontend.vibration_forms import PlaceForm, place_initial
from frontend.views.public import ca_file
from mlops import services as mlops_services
from production import selectors as production_selectors
from production.models import Machine
from tenants.requests import PortalRequest

TEMPLATE = "frontend/machines/vibration.html"


@require_GET
@page("mlops.view")
def vibration(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    return render(request, TEMPLATE, _context(request, _machine(machine_id)))


@require_POST
@page("production.manage")
def place(request: PortalRequest, machine_id: UUID) -> HttpResponse:
    """Keep what is known of a point."""
    machine = _machine(machine_id)
    form = _form(machine, data=request.POST)
    if form.is_valid():
        try:
            saved = mlops_services.save_place(
                machine=machine, fields=form.place_fields(), for_type=form.is_for_type,
                at=timezone.now(), by=request.user,
            )  # fmt: skip
        except mlops_services.PlaceRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{saved.point} is known now.")
            url = vibration_page.address(machine)
            return redirect(f"{url}?{urlencode({'point': saved.point})}")
    return render(request, TEMPLATE, _context(request, machine, form=form), status=422)


def _context(
    request: PortalRequest, machine: Machine, *, form: PlaceForm | None = None
) -> dict[str, Any]:
    point = request.GET.get("point", "").replace("\0", "")[:80]
    found = vibration_page.build(machine, point=point, burst_id=request.GET.get("burst", ""))
    shown = found.burst.point if found.burst else point
    return {
        "page": found,
        "form": form or _form(machine, initial=place_initial(found.place, point=shown)),
        "may_manage": may(request, "production.manage"),
        "command": burst_command(settings.BASE_URL, machine.pk, ca_file()),
        "may_key": may(request, "api_keys.manage"),
    }


def _form(machine: Machine, **said: Any) -> PlaceForm:
    return PlaceForm(machine_name=machine.name, type_name=machine.machine_type.name, **said)


def _machine(machine_id: UUID) -> Machine:
    try:
        return production_selectors.machine(machine_id)
    except Machine.DoesNotExist:
        raise Http404 from None
