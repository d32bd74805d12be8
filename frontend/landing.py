"""What the landing page shows: the plans as billing has them, and an example called one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing import plans
from frontend.formats import DASH, amount, money
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
    return [
        PlanCard(
            name=plan.name,
            price=money(plan.machine_price, CURRENCY, whole=plan.machine_price % 100 == 0),
            per="per active machine and month" if plan.is_paid else "",
            tagline=plan.summary,
            points=_points(plan),
            is_main=plan.key == MAIN_PLAN,
        )
        for plan in plans.ALL
    ]


def _points(plan: plans.Plan) -> tuple[str, ...]:
    """Say what the plan gives, from the limits that are in force: nothing that is still to come."""
    people = f"{plan.max_people} people" if plan.max_people else "Everyone in the factory, no seats"
    machines = (
        f"{plan.max_machines} machines" if plan.max_machines else "As many machines as you have"
    )
    history = (
        f"{plan.history_days} days of history"
        if plan.history_days
        else "Readings kept without an end date"
    )
    points = [machines, people, history]
    if plan.included_readings:
        points.insert(0, f"{amount(plan.included_readings)} readings a machine included")
    else:
        points.append("Live view, states, charts, remaining life")
    if plan.trial_days:
        points.append(f"{plan.trial_days} days free at the start")
    return tuple(points)


def extra_prices() -> list[ExtraPrice]:
    """Return the prices of what is metered today."""
    readings = next(extra for extra in plans.EXTRAS if extra.label == "Readings")
    return [
        ExtraPrice(
            "Active machine",
            money(plans.WORKSHOP.machine_price),
            "a month; a month without readings costs nothing",
        ),
        ExtraPrice(
            "Readings beyond the included",
            money(readings.prices[CURRENCY]),
            f"per {readings.per_label}",
        ),
    ]


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
