"""The explorer: signals of any machines together, over any time."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from frontend import explorer, explorer_events
from frontend.formats import moment
from frontend.pages import answer, may, page
from telemetry import selectors as telemetry_selectors
from telemetry.models import Signal
from tenants.requests import PortalRequest

MOST_MATCHES = 30


@dataclass(frozen=True)
class Chip:
    """A signal that is drawn, and the address without it."""

    name: str
    unit: str
    without_url: str


@dataclass(frozen=True)
class Match:
    """A signal that was found; `url` adds it to what is drawn."""

    name: str
    detail: str
    unit: str
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class RangeLink:
    code: str
    label: str
    url: str
    is_chosen: bool


@require_GET
@page("telemetry.view")
def explore(request: PortalRequest) -> HttpResponse:
    now = timezone.now()
    path = reverse("frontend:explorer")
    ids = explorer.wanted_ids(request.GET.getlist("s"))
    signals = explorer.chosen(ids)
    problem = ""
    try:
        shown = explorer.frame(request.GET, now=now, signals=signals)
    except explorer.NotUnderstood as error:
        problem = str(error)
        shown = explorer.Frame(
            now - (explorer.RANGES[explorer.DEFAULT_RANGE][1] or explorer.MAX_SPAN),
            now,
            explorer.DEFAULT_RANGE,
        )
    is_table = request.GET.get("view") == "table"
    found = explorer.panels(signals)
    q = request.GET.get("q", "").strip()[:80]
    context = {
        "signals": signals,
        "chips": _chips(path, signals, shown),
        "ranges": _ranges(path, signals, shown, is_table=is_table),
        "problem": problem,
        "missing": len(ids) - len(signals),
        "is_full": len(signals) >= explorer.MAX_SIGNALS,
        "most": explorer.MAX_SIGNALS,
        "matches": _matches(request, signals, q),
        "q": q,
        "plan": explorer.plan_json(found, shown),
        "table": explorer.table(signals, shown) if is_table and signals else None,
        "span_words": f"{moment(shown.start)} to {moment(shown.end)}",
        "chart_url": explorer.address(path, signals, shown),
        "table_url": explorer.address(path, signals, shown, view="table"),
        "may_export": may(request, "telemetry.export"),
        "may_connect": may(request, "telemetry.manage_devices"),
    }
    return render(request, "frontend/explorer/page.html", context)


@require_GET
@page("telemetry.view")
def matches(request: PortalRequest) -> HttpResponse:
    """Answer the signals that have all the words, for the list under the search field."""
    signals = explorer.chosen(explorer.wanted_ids(request.GET.getlist("s")))
    q = request.GET.get("q", "").strip()[:80]
    context = {"matches": _matches(request, signals, q), "q": q, "most": explorer.MAX_SIGNALS,
               "is_full": len(signals) >= explorer.MAX_SIGNALS}  # fmt: skip
    return answer(request, "frontend/explorer/matches.html", context)


@require_GET
@page("telemetry.view")
def series(request: PortalRequest) -> HttpResponse:
    """Answer the lines of some signals over a range, in at most `n` buckets each."""
    signals = explorer.chosen(explorer.wanted_ids(request.GET.getlist("s")))
    try:
        shown = explorer.frame(request.GET, now=timezone.now(), signals=signals)
    except explorer.NotUnderstood as error:
        return _refused(str(error))
    text = request.GET.get("n", "")
    n_buckets = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 500
    return JsonResponse(explorer.series_json(signals, shown, n_buckets=n_buckets))


@require_GET
@page("telemetry.view")
def events(request: PortalRequest) -> HttpResponse:
    """Answer what happened to the machines of some signals."""
    now = timezone.now()
    signals = explorer.chosen(explorer.wanted_ids(request.GET.getlist("s")))
    try:
        shown = explorer.frame(request.GET, now=now, signals=signals)
    except explorer.NotUnderstood as error:
        return _refused(str(error))
    found = explorer_events.explorer_events(signals, start=shown.start, end=shown.end, now=now)
    rows = [
        {
            "start": event.start.timestamp(),
            "end": event.end.timestamp() if event.end else None,
            "kind": event.kind,
            "label": event.label,
            "path": event.path,
            "when": moment(event.start, now),
        }
        for event in found.rows
    ]
    return JsonResponse({"events": rows, "left_out": found.left_out})


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"code": "invalid", "message": message, "detail": {}}, status=400)


def _chips(path: str, signals: Sequence[Signal], shown: explorer.Frame) -> list[Chip]:
    return [
        Chip(
            name=explorer.name_of(signal),
            unit=signal.unit,
            without_url=explorer.address(path, [s for s in signals if s is not signal], shown),
        )
        for signal in signals
    ]


def _ranges(
    path: str, signals: Sequence[Signal], shown: explorer.Frame, *, is_table: bool
) -> list[RangeLink]:
    extra = {"view": "table"} if is_table else {}
    return [
        RangeLink(
            code,
            label,
            explorer.address(path, signals, explorer.relative(shown, code), **extra),
            code == shown.code,
        )
        for code, (label, _span) in explorer.RANGES.items()
    ]


def _matches(request: HttpRequest, signals: Sequence[Signal], q: str) -> list[Match]:
    """Return signals to add, those of machines already drawn first where nothing was typed."""
    if not q and signals:
        return []
    rows = telemetry_selectors.signals(words=q).filter(
        key__kind__in=telemetry_selectors.DRAWN_KINDS, device__retired_at=None
    )
    drawn = {signal.pk for signal in signals}
    kept = [("s", str(signal.pk)) for signal in signals]
    path = reverse("frontend:explorer")
    return [
        Match(
            name=row.label,
            detail=" · ".join(_places(row)),
            unit=row.unit,
            url=f"{path}?{urlencode([*kept, ('s', str(row.pk))])}",
            is_chosen=row.pk in drawn,
        )
        for row in rows[:MOST_MATCHES]
    ]


def _places(signal: Signal) -> list[str]:
    machine = signal.device.machine
    parts = [machine.name] if machine else []
    if not machine or machine.name != signal.device.name:
        parts.append(signal.device.name)
    if signal.key.key != signal.label:
        parts.append(signal.key.key)
    return parts
