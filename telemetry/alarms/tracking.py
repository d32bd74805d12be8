"""Follow one rule on one target: go back where late data asks for it, and say what changed."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from telemetry.alarms.evaluation import Checkpoint, Episode, Watched, advance
from telemetry.alarms.judging import Series

HOUR_MS = 3_600_000
# A checkpoint so far behind the tip answers what arrives out of order within a minute.
SHORTLY_MS = 60_000
_FOR_EVER = 1 << 62


@dataclass
class Track:
    """One rule on one target, with the checkpoints that are at hand, oldest first."""

    watched: Watched
    checkpoints: list[Checkpoint]

    @property
    def tip(self) -> Checkpoint:
        return self.checkpoints[-1]

    def before(self, since: int) -> Checkpoint | None:
        """Return the newest checkpoint that nothing at or after `since` can have touched."""
        place = bisect_right(self.checkpoints, since, key=lambda one: one.at)
        return self.checkpoints[place - 1] if place else None

    def run(self, series: Mapping[str, Series], *, after: Checkpoint, until: int) -> list[Episode]:
        """Evaluate again from a checkpoint; those after it are replaced.

        Returns:
            The episodes that touch [after.at, until).
        """
        place = bisect_right(self.checkpoints, after.at, key=lambda one: one.at)
        del self.checkpoints[place:]
        if not self.checkpoints or self.checkpoints[-1].at != after.at:
            self.checkpoints.append(after)
        episodes: list[Episode] = []
        for cut in cuts(after.at, until):
            found, after = advance(self.watched, series, after=after, until=cut)
            episodes = joined(episodes, found)
            self.checkpoints.append(after)
        return episodes

    def forget(self, before: int) -> None:
        """Drop checkpoints that are older, but for the newest; they are kept elsewhere."""
        place = bisect_right(self.checkpoints, before, key=lambda one: one.at)
        del self.checkpoints[: min(place, len(self.checkpoints) - 1)]


def cuts(start: int, end: int) -> list[int]:
    """Return where to leave a checkpoint in (start, end]: full hours, shortly before the end."""
    hours = range((start // HOUR_MS + 1) * HOUR_MS, end, HOUR_MS)
    near = [end - SHORTLY_MS] if end - SHORTLY_MS > start else []
    return [*sorted({*hours, *near}), end] if end > start else []


def joined(episodes: list[Episode], following: Sequence[Episode]) -> list[Episode]:
    """Put episodes of two neighbouring ranges together; one may lie in both."""
    if not episodes or not following or episodes[-1].cleared_at is not None:
        return [*episodes, *following]
    same = replace(episodes[-1], cleared_at=following[0].cleared_at)
    return [*episodes[:-1], same, *following[1:]]


@dataclass(frozen=True, slots=True)
class Known:
    """An alarm as it was written down."""

    id: Any
    raised_at: int
    cleared_at: int | None


@dataclass
class Difference:
    """What has to be written down: new ones, ended or moved ones, and those that never were."""

    raised: list[Episode] = field(default_factory=list)
    moved: list[tuple[Known, Episode]] = field(default_factory=list)
    gone: list[Known] = field(default_factory=list)


def compare(
    known: Iterable[Known], found: Iterable[Episode], *, since: int, until: int
) -> Difference:
    """Find what a range that was evaluated again changes in what is known of it.

    Alarms and episodes that overlap in time are the same, in their order. `known` holds what
    touches the range; what ended exactly at its start belongs to the range before, and when
    something ends that is on at `until` is not asked.
    """
    difference = Difference()
    old, new = sorted(known, key=lambda one: one.raised_at), list(found)
    i = j = 0
    while i < len(old) and j < len(new):
        a_end = _FOR_EVER if (cleared := old[i].cleared_at) is None else cleared
        b_end = _FOR_EVER if (ended := new[j].cleared_at) is None else ended
        if a_end < new[j].raised_at:
            _give_up(difference, old[i], since)
            i += 1
        elif b_end < old[i].raised_at:
            difference.raised.append(new[j])
            j += 1
        else:
            ends_later = new[j].cleared_at is None and until <= a_end < _FOR_EVER
            ends_alike = old[i].cleared_at == new[j].cleared_at or ends_later
            if old[i].raised_at != new[j].raised_at or not ends_alike:
                difference.moved.append((old[i], new[j]))
            i, j = i + 1, j + 1
    for one in old[i:]:
        _give_up(difference, one, since)
    difference.raised += new[j:]
    return difference


def _give_up(difference: Difference, one: Known, since: int) -> None:
    if one.cleared_at is None or one.cleared_at > since:
        difference.gone.append(one)
