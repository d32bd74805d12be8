"""When readings came, as a table: a row a day, a column an hour, the darker the more.

A table rather than a picture, so that it can be printed, read out and walked through by cell.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from frontend.formats import amount, local
from telemetry.selectors import HourOfUse

DAYS = 14
SHADES = 5


@dataclass(frozen=True)
class Cell:
    shade: int  # 0 for an hour without readings, then 1 to SHADES
    n: str
    words: str


@dataclass(frozen=True)
class Row:
    day: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class HeatMap:
    """What came in the last days; without rows nothing came at all."""

    words: str
    hours: tuple[str, ...]
    rows: tuple[Row, ...]


def heat_map(hours: Sequence[HourOfUse], *, now: datetime) -> HeatMap:
    """Sum readings by day and hour as the factory's clock shows them."""
    today = local(now).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    sums: dict[tuple[date, int], int] = {}
    for hour in hours:
        there = local(hour.hour)
        if hour.n_readings and there.date() in days:
            key = there.date(), there.hour
            sums[key] = sums.get(key, 0) + hour.n_readings
    most = max(sums.values(), default=0)
    rows = (
        Row(
            day=f"{on:%a} {on.day} {on:%b}",
            cells=tuple(_cell(sums.get((on, hour), 0), on, hour, most) for hour in range(24)),
        )
        for on in days
    )
    return HeatMap(
        words=f"{amount(sum(sums.values()))} reading{'' if sum(sums.values()) == 1 else 's'} in"
        f" {len(sums)} hour{'' if len(sums) == 1 else 's'} of the last {DAYS} days."
        " An empty square had none.",
        hours=tuple(f"{hour:02}" for hour in range(24)),
        rows=tuple(rows) if sums else (),
    )


def _cell(n: int, on: date, hour: int, most: int) -> Cell:
    """Shade a cell by its share of the fullest one; whatever came at all has a shade."""
    told = amount(n) if n else "none"
    return Cell(-(-n * SHADES // most) if n else 0, told, f"{on:%a} {on.day}, {hour:02}:00: {told}")
