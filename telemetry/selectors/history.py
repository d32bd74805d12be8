"""Readings over a range of time, whatever table they lie in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from telemetry.models import ReadingRevision, SignalKey
from telemetry.selectors import buckets, cells, dictionary
from telemetry.times import to_us

MAX_BUCKETS = 5_000


@dataclass(frozen=True, slots=True)
class KeySeries:
    """One key in buckets; buckets without a reading are absent, never made up."""

    t: list[int]  # start of the bucket, milliseconds since 1970
    min: list[float]
    avg: list[float]
    max: list[float]
    n: list[int]


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """Several keys of one device over [start, end) in buckets of `bucket_ms`."""

    device_id: int
    start: datetime
    end: datetime
    bucket_ms: float
    keys: dict[str, KeySeries]


@dataclass(frozen=True, slots=True)
class RawResult:
    """Readings as columns: times (n,) in ms since 1970, ascending; NaN where a key is absent.

    Booleans are 0 and 1; texts are codes, decoded by `texts`.
    """

    times: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[np.float64]]
    kinds: dict[str, str]

    def texts(self, key: str) -> list[str | None]:
        """The texts of a column, None where the key is absent."""
        codes = self.columns[key]
        words = dictionary.words({int(code) for code in codes[~np.isnan(codes)]})
        return [None if np.isnan(code) else words[int(code)] for code in codes]


def series(
    *, device_id: int, keys: Sequence[str], start: datetime, end: datetime, n_buckets: int
) -> SeriesResult:
    """Return min, average, max and count of numeric keys in at most `n_buckets` buckets.

    Buckets of two minutes and more begin at whole minutes, of two hours and more at whole hours
    UTC; none holds a reading outside [start, end).

    Raises:
        ValueError: `n_buckets` is not between 1 and MAX_BUCKETS, or the range is empty.
        telemetry.archive.ArchiveAway: the range is archived and S3 does not answer.
    """
    if not 1 <= n_buckets <= MAX_BUCKETS:
        raise ValueError(f"n_buckets must be between 1 and {MAX_BUCKETS}")
    if start >= end:
        raise ValueError("the range is empty")
    of = cells.asked(device_id=device_id, keys=keys, kinds=("n", "b"))
    out = buckets.buckets(of, (to_us(start), to_us(end)), n_buckets)
    starts = (out.grid.origin_us + np.arange(len(out.n)) * out.grid.width_us) // 1000
    found: dict[str, KeySeries] = {}
    for i, key in enumerate(keys):
        some = out.n[:, i] > 0
        n, total = out.n[some, i], out.sum[some, i]
        found[key] = KeySeries(
            t=starts[some].tolist(),
            min=out.min[some, i].tolist(),
            avg=(total / n).tolist(),
            max=out.max[some, i].tolist(),
            n=n.tolist(),
        )
    return SeriesResult(device_id, start, end, out.grid.width_us / 1000, found)


def raw(*, device_id: int, keys: Sequence[str], start: datetime, end: datetime) -> RawResult:
    """Return the readings of a device in [start, end) that have any of the keys.

    Raises:
        telemetry.archive.ArchiveAway: the range is archived and S3 does not answer.
    """
    of = cells.asked(device_id=device_id, keys=keys, kinds=("n", "b", "s"))
    found = cells.cells(of, (to_us(start), to_us(end)))
    return RawResult(
        times=found.times // 1000,
        columns={key: found.values[:, i] for i, key in enumerate(keys)},
        kinds={key: of.kinds.get(key, "n") for key in keys},
    )


def revisions(*, device_id: int, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """Return the values that were replaced by different ones, oldest first."""
    rows = list(
        ReadingRevision.objects.filter(device_id=device_id, ts__gte=start, ts__lt=end).order_by(
            "ts", "pk"
        )
    )
    keysets = dictionary.keysets({row.keyset_id for row in rows})
    words = dictionary.words(
        {
            int(value)
            for row in rows
            for key, value in zip(keysets[row.keyset_id], row.vals, strict=True)
            if key.kind == SignalKey.Kind.TEXT
        }
    )
    return [
        {
            "ts": row.ts,
            "key": key.key,
            "value": dictionary.decoded(key.kind, value, words),
            "replaced_at": row.replaced_at,
        }
        for row in rows
        for key, value in zip(keysets[row.keyset_id], row.vals, strict=True)
    ]
