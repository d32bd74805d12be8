"""From scores to episodes: anomalous since when, and until when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mlops.lives import FloatArray

# An episode opens above the limit and ends only well below it, for several rows: a score that
# dances around the limit is one episode, not twenty.
OPEN: Final = 1.0
RELEASE: Final = 0.7
PATIENCE: Final = 10


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of anomalous rows.

    Attributes:
        since: first row at or above the release level before the score crossed the limit.
        crossed: row at which it crossed.
        until: row after the last one at or above the release level; None while it goes on.
        peak: largest score.
    """

    since: int
    crossed: int
    until: int | None
    peak: float


class EpisodeTracker:
    """Follows one stream of scores; `current` is the episode that goes on, if any."""

    def __init__(self) -> None:
        self.current: Episode | None = None
        self._row = -1
        self._rising: int | None = None
        self._calm = 0

    def push(self, score: float) -> Episode | None:
        """Take the next score; return an episode that ended with it."""
        self._row += 1
        if self.current is None:
            self._watch(score)
            return None
        if score >= RELEASE:
            self._calm = 0
            if score > self.current.peak:
                self.current = Episode(self.current.since, self.current.crossed, None, score)
            return None
        self._calm += 1
        if self._calm < PATIENCE:
            return None
        ended = Episode(
            self.current.since, self.current.crossed, self._row + 1 - self._calm, self.current.peak
        )
        self.current, self._rising, self._calm = None, None, 0
        return ended

    def _watch(self, score: float) -> None:
        if score < RELEASE:
            self._rising = None
            return
        self._rising = self._row if self._rising is None else self._rising
        if score > OPEN:
            self.current = Episode(self._rising, self._row, None, score)


def episodes(scores: FloatArray) -> list[Episode]:
    """Return the episodes of scores (n,), oldest first; the last one may still go on."""
    tracker = EpisodeTracker()
    found = [ended for score in scores if (ended := tracker.push(float(score)))]
    return [*found, tracker.current] if tracker.current else found


def since_by_signal(contributions: FloatArray, episode: Episode) -> list[int | None]:
    """Return the row from which each signal has deviated without a long break; None if it does not.

    Args:
        contributions: (n, n_signals) of the rows that the episode counts.
    """
    end = len(contributions) if episode.until is None else episode.until
    part = contributions[episode.since : end]
    result: list[int | None] = []
    for column in part.T:
        tracker = EpisodeTracker()
        for share in column:
            tracker.push(float(share))
        # Only a signal that deviates at the end of the episode is still of interest.
        result.append(episode.since + tracker.current.since if tracker.current else None)
    return result


def strongest(contributions: FloatArray, episode: Episode, n: int = 3) -> list[int]:
    """Return the columns that contribute most over an episode, strongest first."""
    end = len(contributions) if episode.until is None else episode.until
    mean = contributions[episode.crossed : end].mean(axis=0)
    return [int(i) for i in np.argsort(-mean, kind="stable")[:n] if mean[i] > 0]
