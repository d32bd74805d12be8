"""Who of Takt's staff asks to look into the factory, who is let in, and until when."""

from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend.pages import may, page
from tenants import support
from tenants.models import SupportAccess, SupportRole
from tenants.requests import PortalRequest

PAST = 50
MANAGE = "members.manage"


@require_GET
@page("members.view")
def support_page(request: PortalRequest) -> HttpResponse:
    now = timezone.now()
    visits = list(support.requests_of(request.factory)[:PAST])
    running = [visit for visit in visits if visit.is_running(now)]
    asked = [visit for visit in visits if visit.is_asked]
    context = {
        "asked": asked,
        "running": running,
        "past": [visit for visit in visits if visit not in asked and visit not in running],
        "hours": support.HOURS,
        "roles": SupportRole.choices,
        "may_manage": may(request, MANAGE),
    }
    return render(request, "frontend/support.html", context)


@require_POST
@page(MANAGE)
def grant(request: PortalRequest, access_id: UUID) -> HttpResponse:
    access = _access(request, access_id)
    hours = request.POST.get("hours", "")

    def let_in() -> None:
        support.grant(
            access=access,
            by=request.membership,
            role=request.POST.get("role", SupportRole.VIEWER),
            hours=int(hours) if hours in map(str, support.HOURS) else 0,
            at=timezone.now(),
        )

    return _decide(request, let_in, f"{access.asked_by} may look into your factory now.")


@require_POST
@page(MANAGE)
def decline(request: PortalRequest, access_id: UUID) -> HttpResponse:
    access = _access(request, access_id)

    def say_no() -> None:
        support.decline(access=access, by=request.membership, at=timezone.now())

    return _decide(request, say_no, "Declined. Nobody of Takt was let in.")


@require_POST
@page(MANAGE)
def revoke(request: PortalRequest, access_id: UUID) -> HttpResponse:
    access = _access(request, access_id)

    def end() -> None:
        support.revoke(access=access, by=request.membership, at=timezone.now())

    return _decide(request, end, f"Ended. {access.asked_by} sees nothing more.")


def _access(request: PortalRequest, access_id: UUID) -> SupportAccess:
    access = support.requests_of(request.factory).filter(pk=access_id).first()
    if access is None:
        raise Http404
    return access


def _decide(request: PortalRequest, act: Callable[[], None], words: str) -> HttpResponse:
    try:
        act()
    except support.SupportRefused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, words)
    return redirect("frontend:support")
