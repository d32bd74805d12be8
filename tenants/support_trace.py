"""Every step of a visitor of Takt's staff, written down before it is taken."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse, HttpResponseNotFound

from tenants import support
from tenants.requests import TenantRequest

# A stream goes on after consent has ended, so visitors have none: their pages do not move.
_NOT_FOR_VISITORS = frozenset({"live-stream"})


class SupportTraceMiddleware:
    """Runs after MembershipMiddleware, which says whether a visitor asks."""

    def __init__(self, get_response: Callable[[TenantRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: TenantRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: TenantRequest, _view: Any, _args: Any, kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        """Record the step, so that nothing is shown whose trace could not be kept."""
        access = request.support_access
        if access is None:
            return None
        match = request.resolver_match
        route = match.view_name if match and match.view_name else request.path_info
        if route in _NOT_FOR_VISITORS:
            return HttpResponseNotFound("There is nothing at this address.")
        support.record_step(access, method=request.method or "", route=route, ids=kwargs)
        return None
