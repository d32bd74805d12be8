"""Facts about the factory, how its devices may send, and its API keys."""

from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from frontend.pages import may, page
from tenants import audit, credentials, entry, ingest_rules, selectors
from tenants.requests import PortalRequest

MAX_RATE = 1_000_000


@dataclass(frozen=True)
class Fact:
    label: str
    value: str


@require_GET
@page("production.view")
def settings_page(request: PortalRequest) -> HttpResponse:
    return render(request, "frontend/settings.html", _context(request))


@require_POST
@page("factory.manage")
def ingest_rules_change(request: PortalRequest) -> HttpResponse:
    typed = request.POST.get("device_readings_per_s", "").strip()
    is_whole = typed.isascii() and typed.isdigit() and len(typed) < 10
    if typed and not (is_whole and 0 < int(typed) < MAX_RATE):
        messages.error(
            request,
            f"Readings a second of one device: a whole number from 1 to {MAX_RATE - 1}, or empty.",
        )
        return redirect("frontend:settings")
    ingest_rules.change_ingest_rules(
        factory=request.factory,
        token_in_path_allowed="token_in_path_allowed" in request.POST,
        device_readings_per_s=int(typed) if typed else None,
        by=request.user,
    )
    messages.success(request, "Saved. Devices are treated so within two seconds.")
    return redirect("frontend:settings")


@require_POST
@page("api_keys.manage")
def api_key_new(request: PortalRequest) -> HttpResponse:
    """Make a key and show it, this once: the page that answers is the only one that has it."""
    name = request.POST.get("name", "").strip()[:120]
    if not name:
        messages.error(request, "Give the key a name, so that you know later what uses it.")
        return redirect("frontend:settings")
    token = credentials.issue_api_key(factory=request.factory, name=name)
    audit.record(action="api_key.made", actor=request.user, target=name, factory=request.factory)
    return render(request, "frontend/settings.html", {**_context(request), "token": token})


@require_POST
@page("api_keys.manage")
def api_key_revoke(request: PortalRequest, api_key_id: int) -> HttpResponse:
    key = selectors.api_keys(request.factory).filter(pk=api_key_id).first()
    if key is None:
        raise Http404
    if credentials.revoke(credential_id=api_key_id, factory=request.factory):
        audit.record(
            action="api_key.ended", actor=request.user, target=key.name, factory=request.factory
        )
        messages.success(request, f"The key {key.name} is ended.")
    return redirect("frontend:settings")


def _context(request: PortalRequest) -> dict[str, object]:
    factory = request.factory
    show_keys = may(request, "api_keys.manage")
    return {
        "facts": [
            Fact("Name", factory.name),
            Fact("Address", entry.portal_url(factory, "")),
            Fact("Time zone", factory.time_zone),
            Fact("Currency", factory.currency),
            Fact("Database schema", factory.schema_name),
        ],
        "limits": factory.limits,
        "show_rules": may(request, "factory.manage"),
        "max_rate": MAX_RATE - 1,
        "show_keys": show_keys,
        "keys": selectors.api_keys(factory) if show_keys else [],
        "docs_url": f"{settings.BASE_URL}/api/docs/",
    }
