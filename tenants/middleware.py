"""Whose request is this? Decided from the host and the credential alone, never from a header
or parameter that names a factory."""

import uuid
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, HttpResponseRedirect
from django.http import JsonResponse as Json
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from tenants import credentials, entry, standing, support
from tenants.connection import schemas
from tenants.models import Domain, Factory, Membership
from tenants.requests import TenantRequest

log = structlog.get_logger()
GetResponse = Callable[[TenantRequest], HttpResponse]
API = "/api/v1/"
# On a factory's host these are open to who is not signed in there.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OPEN_PATHS = ("/enter/", "/health", "/static/", API, "/api/docs/")


class RequestLogMiddleware:
    """Give each request an id, and each of its log lines the id and the factory."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponse:
        request_id = uuid.uuid4().hex[:12]
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            response = self.get_response(request)
        finally:
            structlog.contextvars.clear_contextvars()
        response.headers["X-Request-ID"] = request_id
        return response


class FactoryMiddleware:
    """Set the schema of a request: from the API key if there is one, else from the host."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponse:
        schemas.set_schema_to_public()
        request.factory = None
        request.membership = None
        request.support_access = None
        request.api_credential = None
        request.has_bearer = False
        try:
            hostname = request.get_host().rsplit(":", 1)[0].lower()
        except DisallowedHost:
            return HttpResponseNotFound("There is nothing at this address.")
        host_factory = None
        if hostname not in (settings.BASE_HOST, "127.0.0.1"):
            host_factory = _factory_of(hostname)
            if host_factory is None:
                return HttpResponseNotFound("There is nothing at this address.")
        factory = host_factory
        if request.path.startswith(API):
            token = bearer_token(request)
            if token is not None:
                credential = credentials.find_api_key(token)
                if credential and host_factory and credential.factory_id != host_factory.pk:
                    return Json(_NOT_FOUND, status=404)
                request.api_credential = credential
                # A key that is no good must not fall back to what the host would allow.
                factory = credential.factory if credential else None
                request.has_bearer = True
            request.urlconf = settings.ROOT_URLCONF
        elif factory is None:
            request.urlconf = settings.PUBLIC_SCHEMA_URLCONF
        if factory is not None:
            request.factory = factory
            schemas.set_tenant(factory)
            structlog.contextvars.bind_contextvars(schema=factory.schema_name)
        return self.get_response(request)


_NOT_FOUND = {"code": "not_found", "message": "There is nothing at this address.", "detail": {}}


def _factory_of(hostname: str) -> Factory | None:
    domain = (
        Domain.objects.select_related("tenant__limits")
        .filter(domain=hostname, tenant__state=Factory.State.ACTIVE)
        .first()
    )
    return domain.tenant if domain else None


def bearer_token(request: HttpRequest) -> str | None:
    """Return the token of the Authorization header, if there is one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class MembershipMiddleware:
    """Check on every request that who is signed in belongs to this factory.

    Runs after authentication. A stranger gets the 404 of what does not exist; who is not signed
    in is sent to the public host, the only place where one signs in.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponse:
        factory = request.factory
        if factory is None or request.api_credential is not None:
            return self.get_response(request)
        if request.user.is_authenticated:
            if not self._session_is_ours(request, factory):
                return HttpResponseNotFound("There is nothing at this address.")
            request.membership = Membership.objects.filter(
                user_id=request.user.pk, factory=factory
            ).first()
            if request.membership is None:
                self._let_visitor_in(request, factory)
            if request.membership is None and not request.path.startswith(("/enter/", "/static/")):
                return HttpResponseNotFound("There is nothing at this address.")
            structlog.contextvars.bind_contextvars(user_id=request.user.pk)
        elif not request.path.startswith(OPEN_PATHS):
            return _to_sign_in(request, factory)
        return self.get_response(request)

    @staticmethod
    def _let_visitor_in(request: TenantRequest, factory: Factory) -> None:
        access = support.visit(user_id=request.user.pk, factory=factory, at=timezone.now())
        if access is not None:
            request.support_access = access
            request.membership = support.place_of(access, factory)

    @staticmethod
    def _session_is_ours(request: TenantRequest, factory: Factory) -> bool:
        """Refuse another factory's session, and one whose sign-in was ended elsewhere."""
        if request.path.startswith("/enter/"):
            return True
        if request.session.get("factory_id") != factory.pk:
            return False
        origin = request.session.get("origin_session_key", "")
        if entry.session_lives(origin, at=timezone.now()):
            return True
        request.session.flush()
        return False


class StandingMiddleware:
    """Keep a factory that is behind with its payments to what its standing leaves it.

    Runs after membership: a stranger has met 404 before, and who is not signed in 401.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: TenantRequest, view: Callable[..., Any], _args: Any, _kwargs: Any
    ) -> HttpResponse | None:
        """Let the view answer, or refuse in its place.

        Raises:
            tenants.standing.Behind: answered by the site's page for what is refused.
        """
        factory = request.factory
        if factory is None or (request.membership is None and request.api_credential is None):
            return None
        limits = standing.limits_of(factory)
        if limits is None:
            return None
        if limits.standing == standing.Standing.SUSPENDED:
            if standing.works(view, "works_suspended"):
                return None
            if _wants_data(request):
                raise standing.Suspended(factory, limits)
            return _to_page(request, reverse(standing.SUSPENDED_PAGE))
        changes = limits.read_only and request.method not in SAFE_METHODS
        if changes and not standing.works(view, "works_read_only"):
            raise standing.ReadOnly(factory, limits)
        return None


def _wants_data(request: HttpRequest) -> bool:
    """Say whether a program asks, or a page's script, to which a redirect would say nothing."""
    accepted = request.headers.get("Accept", "")
    return request.path.startswith(API) or accepted.startswith("application/json")


def _to_page(request: HttpRequest, path: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=403, headers={"HX-Redirect": path})
    return HttpResponseRedirect(path, status=303)


def _to_sign_in(request: HttpRequest, factory: Factory) -> HttpResponse:
    next_path = request.get_full_path() if request.method == "GET" else "/"
    query = urlencode({"next": entry.safe_path(next_path)})
    address = f"{settings.BASE_URL}/enter/{factory.schema_name}/?{query}"
    if request.headers.get("HX-Request"):
        return HttpResponse(status=401, headers={"HX-Redirect": address})
    if request.headers.get("Accept") == "text/event-stream":
        return HttpResponse(status=401)
    return HttpResponseRedirect(address)
