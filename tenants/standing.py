"""Where a factory stands with its payments, and what goes on working while it is behind.

Each rule is enforced in one place: portal and API in `tenants.middleware.StandingMiddleware`,
readings in `telemetry.ingest`, trainings where they are asked for. A view that must go on working
says so itself, by a decorator or, as a class of the API, by an attribute of the same name.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from tenants import entry
from tenants.models import Factory, FactoryLimits

View = TypeVar("View", bound=Callable[..., Any])
Standing = FactoryLimits.Standing

PAYMENT_PAGE = "frontend:usage"
SUSPENDED_PAGE = "frontend:suspended"


class Behind(PermissionDenied):
    """A payment is missing, and so this does not work now; nothing was changed."""

    standing: str

    def __init__(self, factory: Factory, limits: FactoryLimits, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.until = limits.standing_until
        self.pay_at = entry.portal_url(factory, payment_path())

    @property
    def body(self) -> dict[str, Any]:
        """What a program is told."""
        return {
            "code": self.standing,
            "message": self.message,
            "detail": {
                "standing": self.standing,
                "until": self.until.isoformat() if self.until else None,
                "pay_at": self.pay_at,
            },
        }


class ReadOnly(Behind):
    """Everything can be read and devices go on sending; nothing else can be changed."""

    standing = Standing.READ_ONLY

    def __init__(self, factory: Factory, limits: FactoryLimits) -> None:
        super().__init__(
            factory,
            limits,
            "A payment is missing, so the factory is read-only"
            f"{_until(limits.standing_until, ', and suspended from {}')}. Readings go on being"
            " stored. Paying ends it at once.",
        )


class Suspended(Behind):
    """Only the bill, the export of everything and signing out are left."""

    standing = Standing.SUSPENDED

    def __init__(self, factory: Factory, limits: FactoryLimits) -> None:
        super().__init__(
            factory,
            limits,
            "A payment is missing, so the factory is suspended"
            f"{_until(limits.standing_until, '; its data are kept until {}')}. Paying ends it at"
            " once.",
        )


def _until(at: datetime | None, words: str) -> str:
    return words.format(f"{at:%Y-%m-%d}") if at else ""


def payment_path() -> str:
    """Return the path of the page where a factory pays."""
    return reverse(PAYMENT_PAGE, urlconf=settings.ROOT_URLCONF)


def limits_of(factory: Factory) -> FactoryLimits | None:
    """Return a factory's limits; None where nothing was written down yet."""
    limits: FactoryLimits | None = getattr(factory, "limits", None)
    return limits


def works_read_only(view: View) -> View:
    """Let a view change things although its factory is read-only."""
    view.works_read_only = True  # type: ignore[attr-defined]  # read by the middleware
    return view


def works_suspended(view: View) -> View:
    """Let a view work although its factory is suspended, or read-only."""
    view.works_suspended = True  # type: ignore[attr-defined]  # read by the middleware
    return works_read_only(view)


def works(view: Callable[..., Any], name: str) -> bool:
    """Say whether a view, or the class that stands behind it, is marked so."""
    behind = getattr(view, "cls", getattr(view, "view_class", None))
    return bool(getattr(view, name, False) or getattr(behind, name, False))
