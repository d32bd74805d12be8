"""What a role may do: one table, tested as a table."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase

from tenants.models import Role, SupportRole

View = TypeVar("View", bound=Callable[..., HttpResponseBase])

VIEW = frozenset({"production.view", "telemetry.view", "mlops.view", "analytics.view"})
WORK = frozenset({"production.record", "production.work", "telemetry.handle_alarms"})
ENGINEER = frozenset(
    {
        "production.manage",
        "production.plan_work",
        "telemetry.manage_devices",
        "telemetry.export",
        "telemetry.manage_alarms",
        "mlops.train",
        "analytics.manage",
    }
)
ACCOUNT = frozenset(
    {
        "billing.view",
        "billing.manage",
        "members.view",
        "members.manage",
        "audit.view",
        "api_keys.manage",
        "factory.manage",
        "webhooks.manage",
    }
)
ALL = VIEW | WORK | ENGINEER | ACCOUNT | {"factory.delete"}

PERMISSIONS: dict[str, frozenset[str]] = {
    Role.OWNER: ALL,
    Role.ADMIN: ALL - {"factory.delete"},
    Role.ENGINEER: VIEW | WORK | ENGINEER | {"members.view"},
    Role.OPERATOR: VIEW | WORK,
    Role.VIEWER: VIEW,
}
# Takt's staff, let in by the factory: no people, no money, no keys, which would outlast the visit.
SUPPORT_PERMISSIONS: dict[str, frozenset[str]] = {
    SupportRole.VIEWER: VIEW,
    SupportRole.ENGINEER: VIEW | WORK | ENGINEER - {"telemetry.manage_devices"},
}
_TABLE = PERMISSIONS | SUPPORT_PERMISSIONS
# An API key reads, and connects devices and programs; it manages neither people nor money.
API_KEY_PERMISSIONS = VIEW | WORK | ENGINEER | {"billing.view", "webhooks.manage"}


def allowed(role: str, permission: str) -> bool:
    """Say whether a role may do something.

    Raises:
        KeyError: no such permission exists, which is a mistake in the code that asks.
    """
    if permission not in ALL:
        raise KeyError(permission)
    return permission in _TABLE[role]


def requires(permission: str) -> Callable[[View], View]:
    """Let a page be seen only by members whose role has `permission`.

    A stranger meets 404 (as for what does not exist), a member without the right 403 with a page
    that says who has it.
    """
    if permission not in ALL:
        raise KeyError(permission)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            membership = getattr(request, "membership", None)
            if membership is None:
                raise Http404
            if not allowed(membership.role, permission):
                raise PermissionDenied(permission)
            return view(request, *args, **kwargs)

        guarded.required_permission = permission  # type: ignore[attr-defined]  # read by a test
        return cast("View", guarded)

    return decorate
