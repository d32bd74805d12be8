"""The front page of a factory: what needs you, and what every machine does."""

from dataclasses import dataclass
from datetime import datetime

from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from analytics import selectors as analytics_selectors
from analytics.calendars import Window
from frontend import floor
from frontend.floor import Chip
from frontend.formats import clock, length
from frontend.pages import answer, may, page
from frontend.tiles import AttentionRow, Figure, Tile
from frontend.words import STATE_WORDS, headline
from tenants.requests import PortalRequest


@dataclass(frozen=True)
class NowPage:
    """Everything that the page Now shows."""

    at: datetime
    headline: str
    shift: str
    n_machines: int
    attention: tuple[AttentionRow, ...]
    calm_words: str
    figures: tuple[Figure, ...]
    legend: list[Chip]
    tiles: list[Tile]
    bar_words: str
    tiles_url: str
    rows_url: str
    all_url: str
    may_connect: bool
    refresh_at: int | None


@require_GET
@page("production.view")
def now(request: PortalRequest) -> HttpResponse:
    view = "rows" if request.GET.get("view") == "rows" else "tiles"
    state = request.GET.get("state", "")
    context = {
        "now": _page(request, state=state if state in STATE_WORDS else "", view=view),
        "view": view,
    }
    return answer(request, "frontend/now.html", context, part="live")


def _page(request: PortalRequest, *, state: str, view: str) -> NowPage:
    at = timezone.now()
    overview = analytics_selectors.overview(at=at)
    tiles, needs = overview.tiles, overview.attention
    n_silent = sum(str(tile.state) == "nodata" for tile in tiles)
    address = reverse("frontend:now")
    shown = [tile for tile in tiles if not state or str(tile.state) == state]
    kept_view = view if view == "rows" else ""
    return NowPage(
        at=at,
        headline=headline(len(needs), n_machines=len(tiles), n_silent=n_silent),
        shift=_shift_words(overview.window, at),
        n_machines=len(tiles),
        attention=floor.needs(needs, now=at),
        calm_words=_calm_words(len(tiles)),
        figures=floor.shift_figures(overview.figures),
        legend=floor.legend(tiles, chosen=state, address=address, view=kept_view),
        tiles=[floor.tile_of(tile, now=at) for tile in shown],
        bar_words=_bar_words(tiles[0].window_start, tiles[0].window_end) if tiles else "",
        tiles_url=floor.page_url(address, state=state, view=""),
        rows_url=floor.page_url(address, state=state, view="rows"),
        all_url=floor.page_url(address, state="", view=kept_view),
        may_connect=may(request, "telemetry.manage_devices"),
        refresh_at=floor.next_change(((str(t.state), t.last_seen_at) for t in tiles), now=at),
    )


def _shift_words(window: Window | None, at: datetime) -> str:
    if window is None:
        return ""
    if window.end <= at:
        return "No shift is on"
    left = length((window.end - at).total_seconds())
    return f"{window.name} shift, {clock(window.start)} to {clock(window.end)}, {left} left"


def _calm_words(n_machines: int) -> str:
    if n_machines == 1:
        return "The machine is as it should be."
    return f"All {n_machines} machines are as they should be."


def _bar_words(start: datetime, end: datetime) -> str:
    return (
        f"Each bar: {clock(start)} to {clock(end)}."
        " Its height is the speed; the hatched part means that no data came."
    )
