"""What every template may use: the frame of the page, and how its reader likes it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from frontend.bill_banner import Banner, banner_of
from telemetry import live
from telemetry.selectors import alarms as alarm_selectors
from telemetry.selectors.alarms import Standing
from tenants.models import Factory, User
from tenants.notifications import inbox
from tenants.permissions import allowed

THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True)
class NavItem:
    """A link of the navigation; it is shown only where the page exists and the role may see it."""

    label: str
    icon: str
    url: str
    is_current: bool = False


@dataclass(frozen=True)
class Shell:
    """The frame around a page."""

    main: tuple[NavItem, ...] = ()
    foot: tuple[NavItem, ...] = ()
    settings: tuple[NavItem, ...] = ()
    initials: str = ""
    bell_url: str = ""
    bell: Callable[[], Standing] | None = None  # asked for where the frame is shown
    stream_url: str = ""
    search_url: str = ""
    leave_url: str = ""
    factories_url: str = ""


@dataclass(frozen=True)
class _Entry:
    label: str
    icon: str
    name: str
    permission: str
    covers: tuple[str, ...] = ()  # further pages under this entry, by the start of their name


MAIN = (
    _Entry("Now", "activity-heartbeat", "now", "production.view"),
    _Entry("Machines", "assembly", "machines", "production.view", ("machine",)),
    _Entry("Alarms", "bell", "alarms", "telemetry.view", ("alarm",)),
    _Entry(
        "Maintenance",
        "tool",
        "maintenance",
        "production.view",
        ("maintenance", "order", "spare-part"),
    ),
    _Entry(
        "Quality",
        "checklist",
        "quality",
        "production.view",
        ("quality", "inspection", "nonconformance", "defect", "lot"),
    ),
    _Entry("Models", "school", "models", "mlops.view", ("model",)),
    _Entry("Explore", "chart-line", "explorer", "telemetry.view", ("explorer", "export")),
)
SETTINGS = (
    _Entry("Devices and keys", "router", "devices", "telemetry.view", ("device", "signals")),
    _Entry("People", "users", "people", "members.view", ("member",)),
    _Entry(
        "Usage and bill",
        "receipt",
        "usage",
        "billing.view",
        ("usage", "invoice", "plan", "pay", "bill"),
    ),
    _Entry("Webhooks", "plug-connected", "webhooks", "webhooks.manage", ("webhook",)),
    _Entry("Support access", "help", "support", "members.view", ("support",)),
    _Entry("Audit", "shield-lock", "audit", "audit.view"),
    _Entry("Factory and API", "settings", "settings", "production.view", ("api-key",)),
    _Entry("Export and leave", "download", "leaving", "billing.manage"),
)
START = _Entry("First steps", "list-check", "start", "telemetry.manage_devices", ("start-",))


def portal(request: HttpRequest) -> dict[str, Any]:
    """Give templates the factory, the member's place in it, the navigation and the theme.

    Makes no query, but where the whole frame is shown: one for what is unread, one for the bell
    and, for who may pay, one for the bill. Everything else comes from the request.
    """
    factory = getattr(request, "factory", None)
    theme = request.COOKIES.get("takt_theme", "")
    return {
        "factory": factory,
        "membership": getattr(request, "membership", None),
        "support_access": getattr(request, "support_access", None),
        "shell": _factory_shell(request, factory) if factory else _public_shell(),
        "theme": theme if theme in THEMES else "",
        "contrast": "more" if request.COOKIES.get("takt_contrast") == "more" else "",
        "time_zone": factory.time_zone if factory else settings.TIME_ZONE,
        "n_unread": _counting_unread(request, factory),
        "bill_banner": _looking_at_bill(request, factory),
        "mailbox_url": _url("frontend:mailbox") if settings.MAILBOX else "",
    }


def _counting_unread(request: HttpRequest, factory: Factory | None) -> Callable[[], int]:
    """Return what counts a member's unread notifications when a template asks, once a page."""

    @cache
    def count() -> int:
        user = request.user
        if factory is None or not isinstance(user, User):
            return 0
        return inbox.n_unread(user=user, factory=factory)

    return count


def _looking_at_bill(request: HttpRequest, factory: Factory | None) -> Callable[[], Banner | None]:
    """Return what says how the bill stands when a template asks."""

    def look() -> Banner | None:
        membership = getattr(request, "membership", None)
        if factory is None or membership is None:
            return None
        return banner_of(factory, role=membership.role, now=timezone.now())

    return look


def _public_shell() -> Shell:
    return Shell(leave_url=_url("account_logout"), factories_url=_url("frontend:factories"))


def _factory_shell(request: HttpRequest, factory: Factory) -> Shell:
    membership = getattr(request, "membership", None)
    if membership is None:
        return Shell()
    role = membership.role
    match = request.resolver_match
    here = (match.url_name or "") if match and match.namespace == "frontend" else ""
    tabs = tuple(_items(SETTINGS, role, here))
    is_in_settings = any(tab.is_current for tab in tabs)
    foot = list(_items((START,), role, here))
    if tabs:
        foot.append(NavItem("Settings", "settings", tabs[0].url, is_in_settings))
    return Shell(
        main=tuple(_items(MAIN, role, here)),
        foot=tuple(foot),
        settings=tabs,
        initials=initials(factory.name),
        bell_url=_url("frontend:alarm-bell"),
        bell=cache(partial(_bell, request, role)),
        # A visitor of Takt's staff has no stream: it would go on after consent has ended.
        stream_url="" if getattr(request, "support_access", None) else _stream_url(),
        search_url=_url("frontend:machines"),
        leave_url=_url("leave"),
        factories_url=f"{settings.BASE_URL}/factories/",
    )


def _stream_url() -> str:
    url = _url("live-stream")
    return url and url + live.stream_query(drawn_at=timezone.now())


def _bell(request: HttpRequest, role: str) -> Standing:
    """Count the open alarms where a whole page is drawn; its parts have no bell."""
    is_part = getattr(request, "htmx", False) and not request.htmx.boosted  # type: ignore[attr-defined]
    if is_part or not allowed(role, "telemetry.view"):
        return Standing()
    return alarm_selectors.standing(at=timezone.now())


def _items(entries: tuple[_Entry, ...], role: str, here: str) -> list[NavItem]:
    items = []
    for entry in entries:
        url = _url(f"frontend:{entry.name}")
        if not url or not allowed(role, entry.permission):
            continue
        is_current = here == entry.name or (bool(entry.covers) and here.startswith(entry.covers))
        items.append(NavItem(entry.label, entry.icon, url, is_current))
    return items


def _url(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:  # this installation does without that part
        return ""


def initials(name: str) -> str:
    words = name.split() or ["?"]
    return "".join(word[0] for word in words[:2]).upper()
