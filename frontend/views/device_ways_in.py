"""Devices by the dozen: claim codes for gateways, and lists that are imported."""

import base64
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST

from frontend.commands import claim_command
from frontend.device_forms import ClaimCodeForm, ImportForm
from frontend.pages import page
from frontend.views.public import ca_file
from telemetry import device_list
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from telemetry.device_list import DeviceList
from telemetry.services import Imported
from tenants import claims
from tenants.requests import PortalRequest

CODES_A_PAGE = 50


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_devices")
def claim_codes(request: PortalRequest) -> HttpResponse:
    """List the codes, and show a new one on the page that answers, this once."""
    now = timezone.now()
    form = ClaimCodeForm(request.POST or None)
    code = ""
    if request.method == "POST" and form.is_valid():
        try:
            _, code = claims.make(
                factory=request.factory, at=now, by=request.user, **form.cleaned_data
            )
        except claims.TooManyCodes:
            form.add_error(None, f"{claims.MAX_OPEN_CODES} codes are open. End some first.")
        else:
            form = ClaimCodeForm()
    chosen = Paginator(claims.codes(request.factory), CODES_A_PAGE).get_page(
        request.GET.get("page")
    )
    context = {
        "form": form,
        "code": code,
        "command": claim_command(settings.BASE_URL, code, ca_file()) if code else "",
        "codes": chosen.object_list,
        "chosen": chosen,
        "groups": telemetry_selectors.groups(),
        "now": now,
    }
    status = 422 if form.errors else 200
    return render(request, "frontend/devices/codes.html", context, status=status)


@require_POST
@page("telemetry.manage_devices")
def claim_code_revoke(request: PortalRequest, code_id: int) -> HttpResponse:
    if not claims.revoke(
        factory=request.factory, code_id=code_id, at=timezone.now(), by=request.user
    ):
        raise Http404
    messages.success(request, "The code is ended. Devices that used it stay.")
    return redirect("frontend:device-codes")


@require_http_methods(["GET", "POST"])
@page("telemetry.manage_devices")
def device_import(request: PortalRequest) -> HttpResponse:
    """Take a list, show what would become of each line, and import it on the second click."""
    template = "frontend/devices/import.html"
    limits = {"max_rows": device_list.MAX_ROWS, "columns": device_list.COLUMNS}
    if request.method == "GET":
        return render(request, template, {"form": ImportForm(), **limits})
    form = ImportForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, template, {"form": form, **limits}, status=422)
    text = form.cleaned_data["csv"]
    try:
        if request.POST.get("step") == "import":
            made, found = telemetry_services.import_devices(text=text, by=request.user)
            context = {"n_made": len(made), "tokens_csv": _download(made), **_counted(found)}
            return render(request, template, context)
        found = telemetry_services.preview(text=text)
    except device_list.BadList as error:
        form.add_error(None, str(error))
    except IntegrityError:
        form.add_error(None, "A name was taken at the same moment. Nothing was made: look again.")
    else:
        return render(request, template, {"text": text, **_counted(found)})
    return render(request, template, {"form": form, **limits}, status=422)


def _counted(found: DeviceList) -> dict[str, Any]:
    return {"found": found, "n_good": len(found.good), "n_bad": len(found.bad)}


def _download(made: list[Imported]) -> str:
    """Return the keys as the address of a file: this page is the only place that has them."""
    text = device_list.written(
        ("device_id", "name", "token"), [(str(one.device_id), one.name, one.token) for one in made]
    )
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
