"""Alarms: what needs somebody, what is being worked on, what is over."""

from datetime import datetime, timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from frontend import alarm_page, alarm_rows
from frontend.pages import answer, may, page
from production import selectors as production_selectors
from telemetry.models import Alarm
from telemetry.selectors import alarm_sources
from telemetry.selectors import alarms as selectors
from telemetry.services import alarms as services
from tenants.requests import PortalRequest
from tenants.standing import works_read_only

N_CLEARED = 30
N_MOST = 500
SHELVES = {"1": "1 h", "8": "8 h", "24": "1 day", "168": "1 week"}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


@require_GET
@page("telemetry.view")
def alarm_list(request: PortalRequest) -> HttpResponse:
    at = timezone.now()
    unfolded, chosen = _number(request.GET.get("flood")), _number(request.GET.get("severity"))
    found = {
        "open": list(selectors.open_alarms(at=at)[:N_MOST]),
        "taken": list(selectors.taken_alarms(at=at)[:N_MOST]),
        "silent": list(selectors.silent_alarms(at=at)[:N_MOST]),
        "cleared": list(selectors.cleared_alarms()[:N_CLEARED]),
    }
    targets = alarm_sources.targets()
    places = alarm_rows.by_place(targets)
    headings = {
        "open": "Open",
        "taken": "Being worked on",
        "silent": "Silenced",
        "cleared": "Cleared",
    }
    groups = []
    for kind, alarms in found.items():
        wanted = [a for a in alarms if chosen is None or a.severity == chosen]
        if wanted:
            drawn = alarm_rows.rows(wanted, places, at=at, unfolded=unfolded)
            groups.append(alarm_rows.Group(headings[kind], kind, drawn))
    context = {
        "groups": groups,
        "chips": alarm_rows.chips([*found["open"], *found["taken"]], chosen=chosen),
        "words": _words(found, at),
        "is_calm": not found["open"] and not found["taken"],
        "n_machines": sum(target.machine_id is not None for target in targets),
        "n_rules": selectors.rules().filter(enabled=True).count(),
        "may_handle": may(request, "telemetry.handle_alarms"),
        "may_manage": may(request, "telemetry.manage_alarms"),
    }
    return answer(request, "frontend/alarms/list.html", context, part="live")


def _words(found: dict[str, list[Alarm]], at: datetime) -> str:
    n_open, n_taken = len(found["open"]), len(found["taken"])
    words = f"{n_open} open, {n_taken} being worked on."
    site = production_selectors.main_site()
    shift = production_selectors.shift_at(site=site, at=at) if site else None
    if shift is not None:
        words += f" {selectors.n_since(shift.start)} so far in this shift."
    return words


@require_GET
@page("telemetry.view")
def bell(request: PortalRequest) -> HttpResponse:
    """Draw the bell of the frame anew."""
    context = {"bell": selectors.standing(at=timezone.now()), "url": request.path}
    return render(request, "frontend/components/bell.html", context)


@require_GET
@page("telemetry.view")
def alarm_detail(request: PortalRequest, alarm_id: int) -> HttpResponse:
    found = _alarm(alarm_id)
    context = {
        "alarm": alarm_page.build(found, at=timezone.now()),
        "shelves": SHELVES,
        "may_handle": may(request, "telemetry.handle_alarms"),
        "may_manage": may(request, "telemetry.manage_alarms"),
    }
    return answer(request, "frontend/alarms/detail.html", context, part="live")


@works_read_only
@require_POST
@page("telemetry.handle_alarms")
def alarm_act(request: PortalRequest, alarm_id: int) -> HttpResponse:
    """Take, comment, shelve, reset: one form a button, each names its action."""
    found = _alarm(alarm_id)
    action, at = request.POST.get("action", ""), timezone.now()
    hours = _number(request.POST.get("hours"))
    try:
        services.act(
            alarm=found,
            action=action,
            text=request.POST.get("text", "").replace("\0", "")[:500],
            until=at + timedelta(hours=min(hours, 10_000)) if hours else None,
            by=request.user,
            at=at,
        )
    except services.NotPossible as error:
        messages.error(request, str(error))
    except services.NoSuchAction:
        messages.error(request, "There is no such button.")
    if request.POST.get("back") == "list":
        return redirect("frontend:alarms")
    return redirect("frontend:alarm", alarm_id=alarm_id)


def _alarm(alarm_id: int) -> Alarm:
    try:
        return selectors.alarm(alarm_id)
    except Alarm.DoesNotExist:
        raise Http404 from None
