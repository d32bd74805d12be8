"""Doors without a page: in by ticket, out everywhere, and whether the house stands."""

from typing import cast

from django.conf import settings
from django.contrib import auth
from django.contrib.auth.decorators import login_required
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from tenants import entry, leaving
from tenants.models import Factory, User
from tenants.requests import PortalRequest
from tenants.standing import works_suspended

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@require_GET
@never_cache
@login_required
def to_factory(request: HttpRequest, schema_name: str) -> HttpResponse:
    """Hand a signed-in member over to a factory's host. A stranger meets 404.

    Who belonged to a factory that was deleted is led to where that is said.
    """
    person = cast("User", request.user)
    if leaving.was_deleted(schema_name, person):
        return HttpResponseRedirect(settings.LOGIN_REDIRECT_URL)
    factory = get_object_or_404(
        Factory, schema_name=schema_name, state=Factory.State.ACTIVE, memberships__user=request.user
    )
    address = entry.issue_ticket(
        user=person,
        factory=factory,
        session_key=request.session.session_key or "",
        next_path=request.GET.get("next", "/"),
        at=timezone.now(),
    )
    return HttpResponseRedirect(address)


@works_suspended
@require_GET
@never_cache
def enter(request: PortalRequest) -> HttpResponse:
    """Sign a person in on a factory's host by a ticket of the public host."""
    try:
        ticket = entry.redeem_ticket(
            token=request.GET.get("ticket", ""), factory=request.factory, at=timezone.now()
        )
    except entry.TicketRefused:
        # Used or too old, as after the browser's back button: ask the public host for a new one.
        return HttpResponseRedirect(f"{settings.BASE_URL}/enter/{request.factory.schema_name}/")
    auth.login(request, ticket.user, backend=BACKEND)
    request.session["factory_id"] = request.factory.pk
    request.session["origin_session_key"] = ticket.origin_session_key
    return HttpResponseRedirect(ticket.next_path)


@works_suspended
@require_POST
@never_cache
def leave(request: PortalRequest) -> HttpResponse:
    """Sign out here, on the public host and on every other factory's host."""
    origin = request.session.get("origin_session_key")
    if origin:
        entry.end_session(origin)
    auth.logout(request)
    return HttpResponseRedirect(f"{settings.BASE_URL}/")


@works_suspended
@require_GET
@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """Say whether this process can do its work: 200, or 503 while PostgreSQL is away."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})
