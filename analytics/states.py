"""Machine states from signals: one state per instant, no hole and no overlap.

The decision table runs on elementary intervals: the stretches between two neighbouring instants
at which anything changed (a reading, the start of a silence, a calendar border, a person's
entry). Inside one of them every input is constant, so the table is evaluated once over all of
them as arrays, and neighbours with the same answer are merged.

Times are Unix milliseconds, intervals half-open. Everything here is pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from analytics import silence, speed
from analytics.cues import Cue, FloatArray, IntArray
from analytics.evidence import Evidence, Rules
from analytics.grid import NO_CYCLE, Grid, elementary_grid

CodeArray = npt.NDArray[np.int64]


class State(StrEnum):
    """The words of the timeline; `frontend` knows their glyphs, patterns and colours."""

    RUN = "run"
    SLOW = "slow"
    IDLE = "idle"
    DOWN = "down"
    SETUP = "setup"
    PLANNED = "planned"
    NODATA = "nodata"


STATES = tuple(State)
RUN, SLOW, IDLE, DOWN, SETUP, PLANNED, NODATA = range(len(STATES))
_PAUSE = len(STATES)  # between two cycles: run or idle, decided by how long it lasts


@dataclass(frozen=True)
class Entry:
    """What a person said: it wins over every signal, also over a gap."""

    start_ms: int
    end_ms: int
    state: State


@dataclass(frozen=True)
class StateInterval:
    """One state without interruption.

    Attributes:
        ratio: output against the ideal rate while cycling, None where it cannot be said.
        n_micro_stops, micro_stop_ms: short stops folded into this interval.
    """

    start_ms: int
    end_ms: int
    state: State
    ratio: float | None = None
    n_micro_stops: int = 0
    micro_stop_ms: int = 0

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


def state_intervals(
    evidence: Evidence,
    *,
    start_ms: int,
    end_ms: int,
    rules: Rules,
    working: IntArray | None = None,
    entries: Sequence[Entry] = (),
) -> list[StateInterval]:
    """Say for every instant of `[start_ms, end_ms)` what the machine did.

    Args:
        evidence: may begin before `start_ms`: what held then still holds at the start.
        working: (n, 2) planned production, ascending and apart; None is all the time.
        entries: people's words; where two overlap the later in the sequence wins.
    """
    if end_ms <= start_ms:
        return []
    # Readings from before the start are decided as well and cut off at the end: a stop that
    # began earlier is judged by its whole length.
    from_ms = min(start_ms, int(evidence.seen[0])) if len(evidence.seen) else start_ms
    grid = elementary_grid(
        evidence,
        start_ms=from_ms,
        end_ms=end_ms,
        rules=rules,
        working=working,
        borders=[t for entry in entries for t in (entry.start_ms, entry.end_ms)],
    )
    codes = _settle_pauses(grid, _decide(grid, rules), limit_ms=rules.stop_limit_ms)
    codes, ratio = _tell_speed(grid, codes, evidence, rules)
    codes, said = _apply_entries(grid, codes, entries)
    codes, micro = _fold_micro_stops(grid.edges, codes, said, limit_ms=rules.stop_limit_ms)
    ratio = np.where(said, np.nan, ratio)
    return _clip(_merge(grid.edges, codes, ratio, said=said, micro=micro), start_ms)


def _decide(grid: Grid, rules: Rules) -> CodeArray:
    """Apply the decision table; first match wins."""
    cue, counting = grid.cue, grid.counting
    is_active = cue == Cue.CYCLING
    is_wordless = np.isnan(cue)
    nothing = np.zeros(len(cue), dtype=bool)
    steady = nothing if counting is None else counting.steady
    recent = nothing if counting is None else counting.recent
    stalled = nothing if counting is None else counting.stalled
    completing = is_active if counting is None else steady | (recent & is_active)
    moves = (_share(grid.speed, rules) >= NO_CYCLE) | grid.is_load if counting is None else recent
    cycling = (is_active & ~stalled) | steady | (is_wordless & moves)
    tells = ~is_wordless | ~np.isnan(grid.speed) | ~np.isnan(grid.power) | (counting is not None)
    in_maintenance = cue == Cue.MAINTENANCE
    return np.select(
        [
            ~grid.known,
            (grid.fault | (cue == Cue.DOWN)) & ~completing,
            cue == Cue.SETUP,
            in_maintenance & grid.working,
            in_maintenance,
            (cue == Cue.UNAVAILABLE) | ~tells,
            cycling,
            cue == Cue.PAUSED,
            ~grid.working,
        ],
        [NODATA, DOWN, SETUP, DOWN, PLANNED, NODATA, RUN, _PAUSE, PLANNED],
        default=IDLE,
    )


def _share(rate_per_h: FloatArray, rules: Rules) -> FloatArray:
    # Without an ideal rate any movement is full speed: nothing is known to be slow.
    if not rules.ideal_rate_per_h:
        return np.where(rate_per_h > 0, 1.0, np.where(np.isnan(rate_per_h), np.nan, 0.0))
    return rate_per_h / rules.ideal_rate_per_h


def _settle_pauses(grid: Grid, codes: CodeArray, *, limit_ms: float) -> CodeArray:
    """A pause between cycles is work up to the limit; a longer one was idle from its start."""
    out = codes.copy()
    for first, last in _runs(codes == _PAUSE):
        is_short = grid.edges[last] - grid.edges[first] <= limit_ms
        stop = np.where(grid.working[first:last], IDLE, PLANNED)
        out[first:last] = RUN if is_short else stop
    return out


def _tell_speed(
    grid: Grid, codes: CodeArray, evidence: Evidence, rules: Rules
) -> tuple[CodeArray, FloatArray]:
    """Split cycling time into running and reduced speed; the ratio is NaN where unknown."""
    cycling = codes == RUN
    ratio = np.full(len(codes), np.nan)
    if not rules.ideal_rate_per_h or not cycling.any():
        return codes, ratio
    newest = np.searchsorted(evidence.seen, grid.edges[:-1], side="right") - 1
    sampling_ms = silence.expected_intervals(evidence.seen)[newest]
    least_ms = max(3_600_000 * speed.WINDOW_CYCLES / rules.ideal_rate_per_h, speed.LEAST_WINDOW_MS)
    if grid.counting is not None:
        clock = speed.cycling_clock(grid.edges, cycling, stop_limit_ms=rules.stop_limit_ms)
        ratio = speed.count_ratios(
            clock, grid.edges, cycling, grid.counting.counted,
            ideal_rate_per_h=rules.ideal_rate_per_h, sampling_ms=sampling_ms,
        )  # fmt: skip
    elif evidence.speed is not None:
        ratio = np.where(cycling, _share(grid.speed, rules), np.nan)
    slow = speed.drop_short_slowness(
        grid.edges, cycling & (ratio < speed.FULL_SPEED), least_ms=least_ms
    )
    return np.where(slow, SLOW, codes), ratio


def _apply_entries(
    grid: Grid, codes: CodeArray, entries: Sequence[Entry]
) -> tuple[CodeArray, npt.NDArray[np.bool_]]:
    out, said = codes.copy(), np.zeros(len(codes), dtype=bool)
    for entry in entries:
        first, last = np.searchsorted(grid.edges, [entry.start_ms, entry.end_ms])
        out[first:last] = STATES.index(entry.state)
        said[first:last] = True
    return out, said


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """List the `[first, last)` of the stretches in which the mask holds."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(change[::2].tolist(), change[1::2].tolist(), strict=True))


def _fold_micro_stops(
    edges: IntArray, codes: CodeArray, said: npt.NDArray[np.bool_], *, limit_ms: float
) -> tuple[CodeArray, npt.NDArray[np.bool_]]:
    """Give idle or down stretches below the limit to the cycling state before them.

    Only between two cycling states: a stop that is still open may yet grow past the limit, and
    what a person named is a stop however short.
    """
    out, micro = codes.copy(), np.zeros(len(codes), dtype=bool)
    cycles = ((codes == RUN) | (codes == SLOW)) & ~said
    for first, last in _runs(((codes == IDLE) | (codes == DOWN)) & ~said):
        is_between = first > 0 and last < len(codes) and cycles[first - 1] and cycles[last]
        if is_between and edges[last] - edges[first] < limit_ms:
            out[first:last] = out[first - 1]
            micro[first:last] = True
    return out, micro


def _merge(
    edges: IntArray,
    codes: CodeArray,
    ratio: FloatArray,
    *,
    said: npt.NDArray[np.bool_],
    micro: npt.NDArray[np.bool_],
) -> list[StateInterval]:
    """Join neighbours with one answer; what a person said never joins what was derived."""
    key = codes * 2 + said
    begins = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    ends = np.append(begins[1:], len(codes))
    lengths = np.diff(edges)
    weight = np.where(np.isnan(ratio), 0, lengths)
    total = np.add.reduceat(weight, begins)
    worth = np.add.reduceat(weight * np.nan_to_num(ratio), begins)
    n_micro = np.add.reduceat(np.diff(micro, prepend=False) & micro, begins, dtype=np.int64)
    micro_ms = np.add.reduceat(lengths * micro, begins)
    return [
        StateInterval(
            start_ms=int(edges[b]),
            end_ms=int(edges[e]),
            state=STATES[codes[b]],
            ratio=float(worth[k] / total[k]) if total[k] > 0 else None,
            n_micro_stops=int(n_micro[k]),
            micro_stop_ms=int(micro_ms[k]),
        )
        for k, (b, e) in enumerate(zip(begins, ends, strict=True))
    ]


def _clip(intervals: list[StateInterval], start_ms: int) -> list[StateInterval]:
    kept = [interval for interval in intervals if interval.end_ms > start_ms]
    return [replace(kept[0], start_ms=max(start_ms, kept[0].start_ms)), *kept[1:]]
