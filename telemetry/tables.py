"""Readings of several keysets as one table of columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
KeyIds = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Readings of one keyset: times (n,) in us since 1970, values (n, n_keys), NaN: absent."""

    keyset_id: int
    times: Int64s
    values: Floats

    def cut(self, at_us: int) -> "tuple[Part, Part]":
        """What is before a time and what is not; times must be ascending."""
        i = int(np.searchsorted(self.times, at_us))
        return (
            Part(self.keyset_id, self.times[:i], self.values[:i]),
            Part(self.keyset_id, self.times[i:], self.values[i:]),
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Readings in ascending order of time, each time once, with a column for each key."""

    key_ids: KeyIds
    times: Int64s
    values: Floats
    # (n,) the keyset with which each reading came.
    keysets: Int64s

    def columns(self, key_ids: KeyIds) -> list[int]:
        """Where some of the keys stand."""
        place = {key_id: i for i, key_id in enumerate(self.key_ids)}
        return [place[key_id] for key_id in key_ids]


def unite(parts: Sequence[Part], key_ids: Mapping[int, KeyIds]) -> Table:
    """Unite parts into one table; of several readings of one time the last part's holds."""
    union = tuple(sorted({key for part in parts for key in key_ids[part.keyset_id]}))
    place = {key_id: i for i, key_id in enumerate(union)}
    times = np.concatenate([part.times for part in parts] or [np.empty(0, np.int64)])
    keysets = np.concatenate(
        [np.full(len(part.times), part.keyset_id, np.int64) for part in parts]
        or [np.empty(0, np.int64)]
    )
    # Stable, so that of equal times the one of the last part comes last.
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    is_last = np.ones(len(order), bool)
    is_last[:-1] = ordered[1:] != ordered[:-1]
    order = order[is_last]
    # Where each reading goes, so that the values are copied once.
    target = np.full(len(times), -1, np.int64)
    target[order] = np.arange(len(order))
    values = np.full((len(order), len(union)), np.nan)
    at = 0
    for part in parts:
        rows = target[at : at + len(part.times)]
        at += len(part.times)
        kept = rows >= 0
        columns = np.array([place[key_id] for key_id in key_ids[part.keyset_id]], np.int64)
        values[np.ix_(rows[kept], columns)] = part.values[kept]
    return Table(union, times[order], values, keysets[order])
