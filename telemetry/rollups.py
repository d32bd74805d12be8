"""Count, least, most and sum of readings in buckets of time: the arithmetic of `Rollup`."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from telemetry import packing
from telemetry.models import Rollup
from telemetry.tables import KeyIds
from telemetry.windows import DAY_US, MONTH_US, SECOND_US, floor

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Level: the width of a bucket, and of the window that a row holds.
WIDTHS_US: Final[dict[int, tuple[int, int]]] = {
    Rollup.Level.MINUTE: (60 * SECOND_US, DAY_US),
    Rollup.Level.HOUR: (3600 * SECOND_US, MONTH_US),
}
N_FIGURES: Final = 4  # n, min, max, sum
# With fewer readings a bucket a row would be no smaller than what it stands for.
_MIN_READINGS_A_BUCKET: Final = 4


@dataclass(frozen=True, slots=True)
class Buckets:
    """Figures of buckets that have readings: starts (b,), figures (b, 4 * n_keys).

    A key without a value in a bucket has NaN for all four; so has a key of texts everywhere.
    """

    key_ids: KeyIds
    starts: Int64s
    figures: Floats

    def is_worth_a_row(self) -> bool:
        """Whether reading it is much less than reading the readings; a pure function of it."""
        if not len(self.starts):
            return False
        most = np.nan_to_num(self.figures[:, ::N_FIGURES]).max(axis=1, initial=0.0)
        return bool(most.sum() > _MIN_READINGS_A_BUCKET * len(self.starts))

    def within(self, start_us: int, end_us: int) -> "Buckets":
        i, j = np.searchsorted(self.starts, [start_us, end_us])
        return Buckets(self.key_ids, self.starts[i:j], self.figures[i:j])

    def but(self, starts: Int64s) -> "Buckets":
        """What is left without the buckets that start at some times."""
        kept = ~np.isin(self.starts, starts)
        return Buckets(self.key_ids, self.starts[kept], self.figures[kept])

    def pack(self, *, level: int = packing.SMALL) -> bytes:
        return packing.pack(self.starts, self.figures, level=level)


def unpack(payload: bytes, key_ids: KeyIds) -> Buckets:
    """Return what `Buckets.pack` has packed."""
    return Buckets(key_ids, *packing.unpack(payload))


def summed(
    times: Int64s, values: Floats, key_ids: KeyIds, *, width_us: int, texts: Collection[int]
) -> Buckets:
    """Sum up readings in ascending order of time; `texts` are ids of keys without figures."""
    starts = floor(times, width_us)
    if not len(starts):
        return Buckets(key_ids, starts, np.empty((0, N_FIGURES * len(key_ids))))
    edges = np.concatenate([[0], np.flatnonzero(np.diff(starts)) + 1])
    present = ~np.isnan(values)
    figures = np.empty((len(edges), len(key_ids), N_FIGURES))
    figures[:, :, 0] = np.add.reduceat(present, edges, axis=0, dtype=np.float64)
    figures[:, :, 1] = np.fmin.reduceat(values, edges, axis=0)
    figures[:, :, 2] = np.fmax.reduceat(values, edges, axis=0)
    with np.errstate(over="ignore"):  # 1e308 twice is a sum of infinity, as its reader expects
        figures[:, :, 3] = np.add.reduceat(np.where(present, values, 0.0), edges, axis=0)
    figures[figures[:, :, 0] == 0] = np.nan
    figures[:, [key_id in texts for key_id in key_ids]] = np.nan
    return Buckets(key_ids, starts[edges], figures.reshape(len(edges), N_FIGURES * len(key_ids)))


def replaced(old: Buckets, new: Buckets, *, is_touched: npt.NDArray[np.bool_]) -> Buckets:
    """Put new buckets in the place of those old ones that are touched."""
    kept = Buckets(old.key_ids, old.starts[~is_touched], old.figures[~is_touched])
    key_ids = tuple(sorted({*kept.key_ids, *new.key_ids}))
    starts = np.concatenate([kept.starts, new.starts])
    figures = np.full((len(starts), len(key_ids), N_FIGURES), np.nan)
    at = 0
    for part in (kept, new):
        columns = [key_ids.index(key_id) for key_id in part.key_ids]
        n = len(part.starts)
        figures[at : at + n, columns] = part.figures.reshape(n, len(columns), N_FIGURES)
        at += n
    order = np.argsort(starts, kind="stable")
    return Buckets(
        key_ids, starts[order], figures[order].reshape(len(starts), N_FIGURES * len(key_ids))
    )
