"""What the landing page shows: the plans as billing has them, and an example called one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.urls import reverse
from django.utils.http import urlencode

from billing import plans
from frontend import founding
from frontend.bill_plan import included
from frontend.formats import DASH, money
from frontend.tiles import AttentionRow, Tile
from frontend.timelines import Span, timeline

CURRENCY = "EUR"
MAIN_PLAN = "workshop"


@dataclass(frozen=True)
class PlanCard:
    name: str
    price: str
    per: str
    tagline: str
    points: tuple[str, ...]
    is_main: bool
    button: str
    sign_up_url: str


@dataclass(frozen=True)
class ExtraPrice:
    label: str
    price: str
    per: str


@dataclass(frozen=True)
class Example:
    rows: tuple[AttentionRow, ...]
    tiles: tuple[Tile, ...]


def start_label() -> str:
    n = plans.START.max_machines
    return f"Start free with {n} machines" if n else "Start free"


def plan_cards() -> list[PlanCard]:
    return [_card(plan) for plan in plans.ALL]


def _card(plan: plans.Plan) -> PlanCard:
    sign_up = reverse("account_signup")
    if plan.trial_days:
        sign_up += "?" + urlencode({"plan": plan.key, "next": founding.new_url(plan.key)})
    return PlanCard(
        name=plan.name,
        price=money(plan.machine_price, CURRENCY, whole=plan.machine_price % 100 == 0),
        per="per active machine and month" if plan.is_paid else "",
        tagline=plan.summary,
        points=included(plan),
        is_main=plan.key == MAIN_PLAN,
        button=f"Try {plan.trial_days} days free" if plan.trial_days else "Start free",
        sign_up_url=sign_up,
    )


def extra_prices() -> list[ExtraPrice]:
    """Return the prices of what is metered."""
    machine = ExtraPrice(
        "Active machine",
        money(plans.WORKSHOP.machine_price, CURRENCY),
        "a month; a month without readings costs nothing",
    )
    extras = [
        ExtraPrice(extra.label, money(extra.prices[CURRENCY], CURRENCY), f"per {extra.per_label}")
        for extra in plans.EXTRAS
    ]
    return [machine, *extras]


def example() -> Example:
    """Draw a made-up morning, so that a visitor sees the language before signing up."""
    rows = (
        AttentionRow(
            1, "Mill 3", "has been down for 14 min. Its control reports a fault.", action="Open"
        ),
        AttentionRow(
            2,
            "Saw 1",
            "sends no data since 10:11. Its last state is not taken for granted.",
            action="Open",
        ),
        AttentionRow(
            3,
            "Grinder 1",
            "needs a spindle bearing in 9 to 17 days, 4 chances in 5.",
            action="Open",
        ),
    )
    tiles = (
        _tile(
            "Mill 1",
            "run",
            "Running since 08:20",
            "38",
            "",
            "of 40 parts/h",
            "run 71 setup 18 run 43 idle 8 run 142",
        ),
        _tile(
            "Mill 3",
            "down",
            "Stopped at 10:28. Fault reported.",
            "14",
            "min",
            "down so far",
            "run 96 setup 34 run 92 slow 46 down 14",
        ),
        _tile(
            "Lathe 1",
            "run",
            "Running since 06:41",
            "112",
            "",
            "of 115 parts/h",
            "run 41 planned 4 run 237",
        ),
        _tile(
            "Lathe 2",
            "slow",
            "71 % of rated speed since 09:58",
            "82",
            "",
            "of 115 parts/h",
            "run 88 idle 14 run 136 slow 44",
        ),
        _tile(
            "Saw 1",
            "nodata",
            "Last reading at 10:11",
            DASH,
            "",
            "34 parts/h at 10:11",
            "run 77 idle 10 run 164 nodata 31",
        ),
        _tile(
            "Grinder 1",
            "run",
            "Running since 08:35",
            "37",
            "",
            "of 39 parts/h",
            "run 94 nodata 25 run 6 setup 30 run 127",
        ),
    )
    return Example(rows, tiles)


def _tile(name: str, state: str, note: str, value: str, unit: str, beside: str, shift: str) -> Tile:
    start = datetime(2026, 1, 5, 6, tzinfo=UTC)
    spans, at = [], start
    words = shift.split()
    for span_state, minutes in zip(words[::2], words[1::2], strict=True):
        until = at + timedelta(minutes=int(minutes))
        spans.append(Span(span_state, at, until))
        at = until
    bar = timeline(spans, start=start, end=start + timedelta(hours=8), now=at, name=name)
    return Tile(
        id=name,
        name=name,
        state=state,
        note=note,
        value=value,
        unit=unit,
        beside=beside,
        timeline=bar,
    )
