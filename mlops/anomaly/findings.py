"""From a detector's scores to what a person is told: which signals, how far off, since when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from mlops.anomaly.detector import Detector, Scores
from mlops.anomaly.episodes import Episode, since_by_signal, strongest
from mlops.anomaly.health import usual_of
from mlops.anomaly.still import run_lengths
from mlops.anomaly.words import Finding
from mlops.lives import FloatArray
from mlops.maintenance.reasons import SignalName

# Rows that a "recent value" is the median of.
RECENT: Final = 10
# A signal that moved by less than this many usual spreads over an episode has no direction.
MOVED: Final = 1.0


def findings(
    *,
    detector: Detector,
    values: FloatArray,
    times: Sequence[datetime],
    scores: Scores,
    episode: Episode,
    names: Mapping[str, SignalName],
) -> list[Finding]:
    """Return what the three signals that deviate most in an episode do, strongest first.

    Args:
        values: (n, n_signals) that were scored.
        times: (n,) aware.
        scores: of these rows.
        episode: of these scores.
        names: what people call the signals; those without one go by their key.
    """
    end = len(values) if episode.until is None else episode.until
    since = [
        episode.since if row is None else row
        for row in since_by_signal(scores.contributions, episode)
    ]
    stuck = detector.stillness.shares(run_lengths(values))[end - 1] > 1.0
    return [
        _finding(
            detector, values[:end], scores, signal, bool(stuck[signal]),
            times[since[signal]],
            names.get(detector.signals[signal], SignalName(detector.signals[signal])),
            episode.since,
        )
        for signal in strongest(scores.contributions, episode)
    ]  # fmt: skip


def _finding(
    detector: Detector, values: FloatArray, scores: Scores, signal: int, is_stuck: bool,
    since: datetime, name: SignalName, start: int,
) -> Finding:  # fmt: skip
    end = len(values)
    regime = int(scores.regime[end - 1])
    rows = np.arange(max(0, end - RECENT), end)
    recent = values[rows[scores.regime[rows] == regime], signal]
    is_silent = bool(np.isnan(recent).all())
    return Finding(
        name=name,
        value=None if is_silent else float(np.nanmedian(recent)),
        usual=usual_of(detector.baseline, regime, signal),
        centre=float(detector.baseline.median[regime, signal]),
        since=since,
        rising=_direction(scores.z[start:end, signal]),
        is_still=is_stuck and not is_silent,
        has_regimes=len(detector.baseline.regimes) > 1,
    )


def _direction(z: FloatArray) -> bool | None:
    """Tell whether a signal went up or down over an episode, by its first and last third."""
    third = len(z) // 3
    if not third:
        return None
    change = float(np.median(z[-third:]) - np.median(z[:third]))
    return None if abs(change) < MOVED else change > 0
