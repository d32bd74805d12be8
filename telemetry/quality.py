"""How far the readings of one signal can be trusted, and why: pure arithmetic on arrays.

Four checks, each 0 (no trust) to 100, or None where it cannot be said:

- gaps: the share of the window without readings. Expected is one reading each median interval
  (completeness; Klein and Lehner, Representing Data Quality in Sensor Data Streaming
  Environments, ACM JDIQ 1(2), 2009).
- stuck: the longest run of one value against the longest of the days before (the flat line test
  of the IOOS QARTOD manuals, with the limit taken from the signal instead of a table).
- range: values outside the declared limits, else outside what the unit can be at all (the gross
  range test of the same manuals).
- drift: the median of now against the median of the same hours of earlier days, in modified
  z-scores, 0.6745 |x - median| / MAD (Iglewicz and Hoaglin, How to Detect and Handle Outliers,
  ASQC, 1993).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Int64s = npt.NDArray[np.int64]

LEAST_READINGS = 20
GAP_INTERVALS = 3.0  # a pause longer than this many median intervals is a gap
IRREGULAR = 5.0  # the 90th percentile of the intervals over the 10th
STUCK_RUNS = 3.0  # a run this many times as long as the longest known one
STUCK_NOW_AT_MOST = 40.0  # while a run still lasts, whatever its share of the window
OUTSIDE_IS_WORTHLESS = 0.1  # with this share of values out of range nothing can be trusted
DRIFT_BEGINS, DRIFT_IS_CERTAIN = 1.0, 3.5  # modified z-scores
LEAST_PERIODS = 3

# What a unit can be at all; None: no limit on that side.
_UNIT_LIMITS: dict[str, tuple[float | None, float | None]] = {
    "°C": (-273.15, None), "°F": (-459.67, None), "K": (0.0, None),
    "bar": (-1.014, None), "mbar": (-1014.0, None), "psi": (-14.7, None),
    "Pa": (-101_400.0, None), "kPa": (-101.4, None), "MPa": (-0.1014, None),
    "Hz": (0.0, None), "kHz": (0.0, None), "ppm": (0.0, 1e6), "pH": (0.0, 14.0),
}  # fmt: skip
# A load or an efficiency may well be over 100 %, these may not.
_SHARES_OF_A_WHOLE = ("hum", "moist", "level", "lvl", "fill", "charge", "soc", "valve", "opening")


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its score, None where it cannot be said, and the reason in plain words."""

    check: str
    score: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Quality:
    """The worst of the checks that could be said, with its reason."""

    score: int | None
    reason: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """[start, end) in milliseconds since 1970, and the clock in which people read it."""

    start_ms: int
    end_ms: int
    zone: tzinfo = UTC

    @property
    def words(self) -> str:
        return _length((self.end_ms - self.start_ms) / 1000)


@dataclass(frozen=True, slots=True)
class Nature:
    """What is known of a signal besides its readings; limits are of shown values."""

    key: str
    kind: str = "n"  # n number, b yes or no, s text
    unit: str = ""
    counts_up: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Earlier:
    """The days before the window, in buckets (n,); empty buckets are left out.

    `is_like` marks the buckets of the same hours of the day as the window.
    """

    t_ms: Int64s
    low: Floats
    mean: Floats
    high: Floats
    bucket_ms: float
    is_like: npt.NDArray[np.bool_]
    n_periods: int  # earlier days that have such buckets


def judge(
    times: Int64s, values: Floats, *, nature: Nature, window: Window, earlier: Earlier | None
) -> Quality:
    """Score one signal over a window.

    Args:
        times, values: (n,) ascending ms since 1970 inside the window, and shown values, no NaN.
    """
    if len(times) < LEAST_READINGS:
        n = len(times)
        words = f"{n or 'no'} reading{'' if n == 1 else 's'} in the last {window.words}"
        return Quality(None, f"{words}: at least {LEAST_READINGS} are needed", ())
    checks = [gaps(times, window=window)]
    if nature.kind == "n":
        checks += [
            stuck(times, values, nature=nature, window=window, earlier=earlier),
            out_of_range(values, nature=nature),
            drift(values, nature=nature, earlier=earlier),
        ]
    said = [check for check in checks if check.score is not None]
    if not said:
        return Quality(None, checks[0].reason, tuple(checks))
    worst = min(said, key=lambda check: check.score or 0)
    reason = worst.reason if (worst.score or 0) < 100 else "nothing to object to"
    return Quality(worst.score, reason, tuple(checks))


def gaps(times: Int64s, *, window: Window) -> Check:
    """Score the share of the window in which a reading was due and none came."""
    steps = np.diff(times).astype(np.float64)
    steps = steps[steps > 0]
    if len(steps) == 0:
        return Check("gaps", None, "all readings have one time")
    interval = float(np.median(steps))
    early, late = np.percentile(steps, [10, 90])
    if late > IRREGULAR * early:
        words = f"comes when it likes ({_length(early / 1000)} to {_length(late / 1000)} apart)"
        return Check("gaps", None, f"{words}: a gap cannot be told from quiet")
    edges = np.concatenate([[window.start_ms], times, [window.end_ms]]).astype(np.int64)
    pauses = np.diff(edges).astype(np.float64)
    missing = np.where(pauses > GAP_INTERVALS * interval, pauses - interval, 0.0)
    share = min(1.0, float(missing.sum()) / (window.end_ms - window.start_ms))
    if share == 0:
        return Check("gaps", 100, f"no gap, one reading each {_length(interval / 1000)}")
    at = int(np.argmax(missing))
    longest = _length(float(missing[at]) / 1000)
    reason = (
        f"no reading for {_percent(share)} of the last {window.words}, "
        f"longest {longest} from {_clock(int(edges[at]), window.zone)}"
    )
    return Check("gaps", _score(1 - share), reason)


def stuck(
    times: Int64s, values: Floats, *, nature: Nature, window: Window, earlier: Earlier | None
) -> Check:
    """Score the longest run of one value against the longest run of the days before."""
    if nature.counts_up:
        return Check("stuck", None, "counts up: it stands still while the machine does")
    if earlier is None or earlier.n_periods < 1 or len(earlier.t_ms) < LEAST_READINGS:
        return Check("stuck", None, "there is no earlier day to compare with")
    usual_ms, lively = _earlier_runs(earlier)
    if lively < 0.5:
        return Check("stuck", None, "changes rarely, as a set point does")
    start, end = _longest_run(times, values)
    length_ms = float(times[end] - times[start])
    if length_ms <= STUCK_RUNS * usual_ms or end - start + 1 < LEAST_READINGS:
        return Check(
            "stuck", 100, f"changes as usual, longest still for {_length(length_ms / 1e3)}"
        )
    score = _score(1 - length_ms / (window.end_ms - window.start_ms))
    lasts = end == len(times) - 1
    if lasts:
        score = min(score, int(STUCK_NOW_AT_MOST))
    reason = (
        f"the same value ({_figure(values[start], nature.unit)}) for {_length(length_ms / 1000)} "
        f"from {_clock(int(times[start]), window.zone)}{', still now' if lasts else ''}; "
        f"up to {_length(usual_ms / 1000)} is usual"
    )
    return Check("stuck", score, reason)


def out_of_range(values: Floats, *, nature: Nature) -> Check:
    """Score the share of values outside the declared limits, else outside what the unit allows."""
    low, high = nature.low, nature.high
    is_declared = low is not None or high is not None
    if not is_declared:
        low, high = _possible(nature)
    if low is None and high is None:
        return Check("range", None, "no limits are set, and the unit tells none")
    below = values < (-np.inf if low is None else low)
    above = values > (np.inf if high is None else high)
    outside = below | above
    share = float(outside.mean())
    limits = _limits_words(low, high, nature.unit) + ("" if is_declared else ", all that can be")
    if share == 0:
        return Check("range", 100, f"all values are {limits}")
    distance = np.maximum(
        (low if low is not None else -np.inf) - values,
        values - (high if high is not None else np.inf),
    )
    farthest = _figure(values[int(np.argmax(distance))], nature.unit)
    reason = f"{_percent(share)} of the values are not {limits}; the farthest is {farthest}"
    return Check("range", _score(1 - share / OUTSIDE_IS_WORTHLESS), reason)


def drift(values: Floats, *, nature: Nature, earlier: Earlier | None) -> Check:
    """Score how far the median has moved from that of the same hours of earlier days."""
    if nature.counts_up:
        return Check("drift", None, "counts up")
    n = earlier.n_periods if earlier else 0
    if earlier is None or n < LEAST_PERIODS:
        return Check("drift", None, f"{n} of {LEAST_PERIODS} earlier days are known")
    before = earlier.mean[earlier.is_like]
    middle = float(np.median(before))
    spread = float(np.median(np.abs(before - middle)))
    now = float(np.median(values))
    pair = f"median {_figure(now, nature.unit)} against {_figure(middle, nature.unit)}"
    if spread == 0:
        if now == middle:
            return Check("drift", 100, f"{pair} on {n} earlier days")
        return Check("drift", None, f"{pair}, which never changed before: set anew, or drifting")
    z = 0.6745 * abs(now - middle) / spread
    share = (DRIFT_IS_CERTAIN - z) / (DRIFT_IS_CERTAIN - DRIFT_BEGINS)
    times_spread = f"{abs(now - middle) / spread:.1f} times the usual spread"
    return Check("drift", _score(share), f"{pair} on {n} earlier days, {times_spread}")


def _longest_run(times: Int64s, values: Floats) -> tuple[int, int]:
    """Find the longest run of one value, by time, as (first, last); a gap ends a run."""
    steps = np.diff(times)
    breaks = (np.diff(values) != 0) | (steps > GAP_INTERVALS * np.median(steps))
    starts = np.concatenate([[0], np.flatnonzero(breaks) + 1])
    ends = np.concatenate([np.flatnonzero(breaks), [len(times) - 1]])
    at = int(np.argmax(times[ends] - times[starts]))
    return int(starts[at]), int(ends[at])


def _earlier_runs(earlier: Earlier) -> tuple[float, float]:
    """Return the longest run in ms, at least a bucket, and the share of buckets with a change."""
    is_flat = earlier.low == earlier.high
    follows = np.diff(earlier.t_ms) < 1.5 * earlier.bucket_ms
    is_still = is_flat[1:] & is_flat[:-1] & (np.diff(earlier.mean) == 0) & follows
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_still.astype(np.int8), [0]])))
    longest = int(np.max(edges[1::2] - edges[::2])) if len(edges) else 0
    return (longest + 1) * earlier.bucket_ms, 1.0 - float(is_still.mean())


def _possible(nature: Nature) -> tuple[float | None, float | None]:
    if nature.unit == "%":
        is_share = any(word in nature.key.lower() for word in _SHARES_OF_A_WHOLE)
        # Sensors at the end of their scale read a little over it.
        return (-1.0, 101.0) if is_share else (None, None)
    return _UNIT_LIMITS.get(nature.unit, (None, None))


def _score(share: float) -> int:
    # Only what is perfect is 100: 99.9 is rounded down.
    return int(np.floor(100 * min(1.0, max(0.0, share))))


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{share:.0%}".replace("%", " %")


def _figure(value: float, unit: str) -> str:
    return f"{value:.4g} {unit}".rstrip()


def _limits_words(low: float | None, high: float | None, unit: str) -> str:
    if low is None:
        return f"at most {_figure(high or 0.0, unit)}"
    if high is None:
        return f"at least {_figure(low, unit)}"
    return f"within {low:.4g} to {_figure(high, unit)}"


def _clock(at_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, zone):%H:%M}"


def _length(seconds: float) -> str:
    """Write a length of time as people say it: 0.2 s, 40 s, 14 min, 2 h 10 min, 3 days."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 10 else f"{hours} h"
    return f"{round(hours / 24)} days"


def worst_first(qualities: Sequence[Quality]) -> list[int]:
    """Return the order in which people should look: lowest score first, unknown last."""
    return sorted(
        range(len(qualities)),
        key=lambda i: (qualities[i].score is None, qualities[i].score or 0, i),
    )
