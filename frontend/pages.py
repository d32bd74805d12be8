"""What every page of a factory has in common: who may see it, whose clock it shows."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from tenants.permissions import allowed, requires
from tenants.requests import PortalRequest

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def page(permission: str) -> Callable[[View], View]:
    """Show a view to members whose role has `permission`, in the factory's time zone.

    Its answers are kept by no cache: they hold readings, names and now and then a key.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def zoned(request: PortalRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            with timezone.override(ZoneInfo(request.factory.time_zone)):
                response = view(request, *args, **kwargs)
            response.headers.setdefault("Cache-Control", "no-store, private")
            patch_vary_headers(response, ("HX-Request", "Cookie"))
            return response

        return requires(permission)(cast("View", zoned))

    return decorate


def may(request: PortalRequest, permission: str) -> bool:
    return allowed(request.membership.role, permission)


def answer(
    request: HttpRequest,
    template: str,
    context: dict[str, Any],
    *,
    part: str = "",
    status: int = 200,
) -> HttpResponse:
    """Render a page, or only its `part` where htmx asks for it."""
    htmx = getattr(request, "htmx", None)
    if part and htmx and not htmx.boosted:
        template = f"{template}#{part}"
    return render(request, template, context, status=status)
