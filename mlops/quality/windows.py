"""The operating window in which parts would have turned out well.

Found on earlier parts, checked on later ones: the range of one or two parameters in which no
more parts were rejected than asked. It never reaches beyond values that were seen. It says
what went with good parts, not what would happen if somebody turned the knob: that needs a trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mlops.lives import FloatArray
from mlops.quality.intervals import rate_interval
from mlops.regimes import IntArray
from mlops.tabular.table import BoolArray, Table

MIN_SUPPORT = 20
MAX_TURNS = 10
N_STARTS = 6
# Windows are found on this share of the parts, the earliest, and checked on the rest.
SHARE_TO_FIND = 0.6


@dataclass(frozen=True, slots=True)
class Bound:
    """What one parameter has to keep to.

    Attributes:
        low, high: both inclusive and both seen; NaN for a category.
        levels: codes of the levels that are allowed; empty for a number.
    """

    column: str
    low: float
    high: float
    levels: tuple[int, ...] = ()

    def holds(self, values: FloatArray) -> BoolArray:
        """Return which values keep to it; unknown ones do not."""
        if self.levels:
            return np.isin(values, self.levels)
        return np.asarray((values >= self.low) & (values <= self.high), dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Window:
    """A window and what became of the later parts in it.

    Attributes:
        rate: share of rejects among the checked parts within.
        low, high: 90 % interval of that share.
        n_parts: checked parts within: what supports the window.
        rate_outside: share of rejects among the checked parts outside.
    """

    bounds: tuple[Bound, ...]
    rate: float
    low: float
    high: float
    n_parts: int
    rate_outside: float


@dataclass(frozen=True, slots=True)
class Found:
    """A window, or in words why there is none."""

    window: Window | None
    sentence: str


def find(
    table: Table, rejected: BoolArray, *, columns: Sequence[str], asked: float,
    order: FloatArray | None = None, groups: IntArray | None = None,
) -> Found:  # fmt: skip
    """Look for a window of the strongest parameter, then of the two strongest.

    Args:
        rejected: (n_parts,).
        columns: by strength; only the first two are looked at, so that luck has few chances.
        asked: share of rejects that is not to be exceeded.
        order: (n_parts,) times; without, two of every five lots are checked on.
        groups: (n_parts,) lots; a lot is never on both sides and counts by what it is worth.
    """
    overall = float(np.mean(rejected))
    if overall <= asked:
        return Found(None, f"No window is needed: {overall:.1%} of all parts are rejected.")
    places = [[c.name for c in table.columns].index(name) for name in columns[:2]]
    groups = np.arange(len(table)) if groups is None else groups
    learnt = _to_find(len(table), order, groups)
    for chosen in [[place] for place in places[:1]] + ([places] if len(places) == 2 else []):
        bounds = _best(table, rejected, chosen, asked, learnt)
        window = _checked(table, rejected, bounds, ~learnt, groups) if bounds else None
        if window is not None and _is_worth_saying(window, asked):
            return Found(window, _sentence(window, asked))
    named = " and ".join(columns[:2])
    return Found(
        None, f"No window of {named} found in which no more than {asked:.1%} of later parts "
        "were rejected."
    )  # fmt: skip


def _to_find(n_parts: int, order: FloatArray | None, groups: IntArray) -> BoolArray:
    _names, place = np.unique(groups, return_inverse=True)
    if order is None:
        return np.asarray(place % 5 < 5 * SHARE_TO_FIND, dtype=np.bool_)
    first = np.full(int(place.max()) + 1, np.inf)
    np.minimum.at(first, place, order)
    begun = first[place]
    return np.asarray(begun <= np.quantile(begun, SHARE_TO_FIND), dtype=np.bool_)


def _best(
    table: Table, rejected: BoolArray, places: Sequence[int], asked: float, learnt: BoolArray
) -> tuple[Bound, ...]:
    """Return bounds with the highest sum of (asked - rejected) within; () where none is above 0.

    Of two parameters the second one starts from ranges between a few of its quantiles, because
    alone neither may help; then each is fitted to the other in turns.
    """
    gain = asked - rejected.astype(np.float64)
    if len(places) == 1:
        alone = _bound(table, places[0], gain, learnt)
        return (alone,) if alone else ()
    first, second = places
    best: tuple[Bound, ...] = ()
    best_sum = 0.0
    for start in _starts(table, second, learnt):
        found = _in_turns(table, first, second, start, gain, learnt)
        total = float(gain[learnt & _within(table, found)].sum()) if found else 0.0
        if total > best_sum:
            best, best_sum = found, total
    return best


def _starts(table: Table, place: int, learnt: BoolArray) -> list[Bound]:
    column, values = table.columns[place], table.values[learnt, place]
    known = values[~np.isnan(values)]
    if column.levels:
        return [Bound(column.name, np.nan, np.nan, (int(code),)) for code in np.unique(known)]
    if not len(known):
        return []
    edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, N_STARTS + 1)))
    return [Bound(column.name, float(a), float(b)) for a, b in combinations(edges, 2)]


def _in_turns(
    table: Table, first: int, second: int, start: Bound, gain: FloatArray, learnt: BoolArray
) -> tuple[Bound, ...]:
    pair: tuple[Bound, ...] = ()
    other = start
    for _turn in range(MAX_TURNS):
        one = _bound(table, first, gain, learnt & other.holds(table.values[:, second]))
        if one is None:
            return ()
        two = _bound(table, second, gain, learnt & one.holds(table.values[:, first]))
        if two is None or (one, two) == pair:
            return pair
        pair, other = (one, two), two
    return pair


def _within(table: Table, bounds: Sequence[Bound]) -> BoolArray:
    names = [column.name for column in table.columns]
    holds = [bound.holds(table.values[:, names.index(bound.column)]) for bound in bounds]
    return np.asarray(np.logical_and.reduce(holds), dtype=np.bool_)


def _bound(table: Table, place: int, gain: FloatArray, among: BoolArray) -> Bound | None:
    within = among & ~np.isnan(table.values[:, place])
    column, values = table.columns[place], table.values[within, place]
    if not len(values):
        return None
    seen, at = np.unique(values, return_inverse=True)
    sums: FloatArray = np.bincount(at, weights=gain[within]).astype(np.float64)
    if column.levels:
        good = tuple(int(code) for code in seen[sums > 0])
        return Bound(column.name, np.nan, np.nan, good) if good else None
    first, last, best = _largest_run(sums)
    return Bound(column.name, float(seen[first]), float(seen[last])) if best > 0 else None


def _largest_run(sums: FloatArray) -> tuple[int, int, float]:
    """Return the run of neighbours with the largest sum (Kadane; Bentley, CACM, 1984)."""
    best, best_first, best_last = -np.inf, 0, 0
    current, first = 0.0, 0
    for place, value in enumerate(sums):
        if current <= 0.0:
            current, first = 0.0, place
        current += float(value)
        if current > best:
            best, best_first, best_last = current, first, place
    return best_first, best_last, float(best)


def _checked(
    table: Table, rejected: BoolArray, bounds: Sequence[Bound], check: BoolArray, groups: IntArray
) -> Window | None:
    within = _within(table, bounds)
    inside, outside = rejected[check & within], rejected[check & ~within]
    if len(inside) < MIN_SUPPORT or not len(outside):
        return None
    low, high = rate_interval(inside.astype(np.float64), groups[check & within])
    return Window(
        tuple(bounds), float(inside.mean()), low, high, len(inside), float(outside.mean())
    )


def _is_worth_saying(window: Window, asked: float) -> bool:
    """As few rejects as asked, and fewer than outside beyond doubt."""
    return window.rate <= asked and window.high < window.rate_outside


def _sentence(window: Window, asked: float) -> str:
    sure = "" if window.high <= asked else f"; that it stays under {asked:.1%} is not certain yet"
    return (
        f"Of {window.n_parts} later parts within, {window.rate:.1%} were rejected (90 % interval "
        f"{window.low:.1%} to {window.high:.1%}), outside {window.rate_outside:.1%}{sure}."
    )
