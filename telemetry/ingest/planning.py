"""Readings to columns: what the writer commits, built once, before the queue."""

import asyncio
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry.ingest import state
from telemetry.ingest.decoding import MANY, Decoded, ItemRefused, Rejection, Value
from telemetry.ingest.interning import Interner
from telemetry.ingest.state import Device, Plan, Signature
from telemetry.times import iso_utc

_ENCODE = msgspec.json.Encoder().encode
HOUR_US = 3_600_000_000

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Row = tuple[int, int, list[float]]  # time in microseconds, keyset, values
# A row of `segment`: device, first, last, digest, readings, keyset, payload.
Segment = tuple[int, int, int, int, int, int, bytes]


class Columns:
    """Many readings of one shape: times (n,), values (n, n_keys), their places in the request."""

    __slots__ = ("keyset_id", "positions", "times", "values")

    def __init__(self, keyset_id: int, times: Int64s, values: Floats, positions: Any) -> None:
        self.keyset_id = keyset_id
        self.times = times
        self.values = values
        self.positions = positions


class Submission:
    """One request on its way to the database. `done` resolves after the commit."""

    __slots__ = (
        "columns", "device", "done", "hours", "indexes", "is_late", "n_duplicates", "n_received",
        "n_rows", "n_stored", "newest", "newest_values", "rejected", "rows", "segments",
    )  # fmt: skip

    def __init__(self, device: Device, decoded: Decoded) -> None:
        self.device = device
        self.n_received = decoded.n_received
        self.rejected: list[Rejection] = decoded.rejected
        # The places of the readings in the request.
        self.indexes = decoded.indexes
        self.rows: list[Row] = []
        self.columns: list[Columns] = []
        # The same packed, where that has been done (`storing.pack`).
        self.segments: list[Segment] = []
        self.n_rows = 0
        # Per hour of measured time: (hour, readings, values).
        self.hours: list[tuple[int, int, int]] = []
        self.newest: Row | None = None
        self.newest_values: dict[str, Value] = {}
        self.n_stored = 0
        self.n_duplicates = 0
        # Some of it lies before what is packed already: more of the kind may follow.
        self.is_late = False
        self.done: asyncio.Future[None] | None = None

    def ordered_rows(self) -> list[Row]:
        """All readings as rows, in the order of the request."""
        if not self.columns:
            return self.rows
        placed = [
            (position, (time, block.keyset_id, values))
            for block in self.columns
            for position, time, values in zip(
                block.positions, block.times.tolist(), block.values.tolist(), strict=True
            )
        ]
        placed.sort(key=itemgetter(0))
        return [row for _, row in placed]

    def blocks(self) -> list[Columns]:
        """All readings as columns, one block a keyset."""
        if self.columns or not self.rows:
            return self.columns
        groups: dict[int, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row[1], []).append(row)
        return [
            Columns(
                keyset_id,
                np.array([row[0] for row in rows], np.int64),
                np.array([row[2] for row in rows], np.float64),
                (),
            )
            for keyset_id, rows in groups.items()
        ]


async def plan(device: Device, decoded: Decoded, interner: Interner) -> Submission:
    """Turn what was decoded into columns; readings with refused keys or texts are rejected."""
    _forget_when_full(device)
    if decoded.numbers is not None:
        keys = decoded.common_keys()
        if keys is not None:
            signature = (keys, (float,) * len(keys))
            known = device.plans.get(signature)
            if known is None:
                learnt = (await interner.learn_shapes(device, [signature]))[signature]
                known = learnt if isinstance(learnt, Plan) else None
            if known is not None:
                device.usual = keys
                return _plan_uniform(device, decoded, known)
        decoded.spread()
        device.usual = None
    if len(decoded.values) == 1:
        values = decoded.values[0]
        known = device.plans.get((tuple(values), tuple(map(type, values.values()))))
        if known is not None and known.is_numeric:
            return _plan_one(device, decoded, known)
    return await _plan_mixed(device, decoded, interner)


def _plan_one(device: Device, decoded: Decoded, known: Plan) -> Submission:
    """Plan a single reading of numbers in a known shape: the common request."""
    row = _row(known, {}, decoded.times[0], decoded.values[0])
    submission = Submission(device, decoded)
    submission.n_rows = 1
    submission.rows = [row]
    submission.newest = row
    submission.newest_values = decoded.values[0]
    submission.hours = [(row[0] // HOUR_US, 1, len(row[2]))]
    return submission


def _forget_when_full(device: Device) -> None:
    if len(device.plans) > state.MAX_PLANS_PER_DEVICE:
        device.plans.clear()
    if len(device.factory.keyset_ids) > state.MAX_KEYSETS:
        device.factory.keyset_ids.clear()


async def _plan_mixed(device: Device, decoded: Decoded, interner: Interner) -> Submission:
    signatures: list[Signature] = [
        (tuple(values), tuple(map(type, values.values()))) for values in decoded.values
    ]
    # Looked up once and kept here: while this request waits for the database, another one may
    # make the device forget its plans.
    plans = list(map(device.plans.get, signatures))
    if None in plans:
        plans = await _learn_shapes(device, decoded, interner, signatures, plans)
    words: Mapping[str, int] = device.factory.word_ids
    if not all(found.is_numeric for found in plans if found):
        words, plans = await _learn_words(device, decoded, interner, plans)
    rows = [
        _row(found, words, time, values)
        for found, time, values in zip(plans, decoded.times, decoded.values, strict=True)
        if found
    ]
    submission = Submission(device, decoded)
    if not rows:
        return submission
    submission.n_rows = len(rows)
    newest = max(range(len(rows)), key=lambda i: (rows[i][0], i)) if len(rows) > 1 else 0
    submission.newest = rows[newest]
    submission.newest_values = decoded.values[newest]
    if len(rows) < MANY:
        submission.rows = rows
        submission.hours = [(row[0] // HOUR_US, 1, len(row[2])) for row in rows]
    else:
        _columns_by_keyset(submission, rows)
    return submission


def _plan_uniform(device: Device, decoded: Decoded, known: Plan) -> Submission:
    """Plan many readings that are nothing but the same numbers: the common batch."""
    assert decoded.numbers is not None
    times = decoded.stamps
    if times is None:
        times = np.array(decoded.times, np.int64)
    values = decoded.numbers.reshape(len(times), -1)
    if known.order is not None:
        values = values[:, known.order]
    submission = Submission(device, decoded)
    submission.n_rows = len(times)
    submission.columns = [Columns(known.keyset_id, times, values, range(len(times)))]
    _count_hours(submission)
    newest = len(times) - 1 - int(times[::-1].argmax(axis=0))
    submission.newest = (int(times[newest]), known.keyset_id, values[newest].tolist())
    submission.newest_values = decoded.values_at(newest)
    return submission


def _count_hours(submission: Submission) -> None:
    for block in submission.columns:
        n_keys = block.values.shape[1]
        hours = block.times // HOUR_US
        if hours[0] == hours[-1] and hours.min(axis=0) == hours.max(axis=0):
            submission.hours.append((int(hours[0]), len(hours), len(hours) * n_keys))
            continue
        found, counts = np.unique(hours, return_counts=True)
        submission.hours += [
            (hour, n, n * n_keys) for hour, n in zip(found.tolist(), counts.tolist(), strict=True)
        ]


def _columns_by_keyset(submission: Submission, rows: list[Row]) -> None:
    groups: dict[int, list[int]] = {}
    for position, row in enumerate(rows):
        groups.setdefault(row[1], []).append(position)
    for keyset_id, positions in groups.items():
        times: Int64s = np.array([rows[i][0] for i in positions], np.int64)
        values: Floats = np.array([rows[i][2] for i in positions], np.float64)
        submission.columns.append(Columns(keyset_id, times, values, positions))
    _count_hours(submission)


def _row(found: Plan, words: Mapping[str, int], time: int, values: dict[str, Value]) -> Row:
    if found.is_numeric:
        sent: list[Any] = list(values.values())
    else:
        sent = [
            value if type(value) is float else float(words[value] if type(value) is str else value)
            for value in values.values()
        ]
    if found.order is not None:
        sent = [sent[i] for i in found.order]
    return (time, found.keyset_id, sent)


async def _learn_shapes(
    device: Device,
    decoded: Decoded,
    interner: Interner,
    signatures: list[Signature],
    plans: list[Plan | None],
) -> list[Plan | None]:
    missing = {s: None for s, found in zip(signatures, plans, strict=True) if found is None}
    learnt = await interner.learn_shapes(device, list(missing))
    outcomes = [found or learnt[s] for s, found in zip(signatures, plans, strict=True)]
    _reject(decoded, [o if isinstance(o, ItemRefused) else None for o in outcomes])
    return [o for o in outcomes if isinstance(o, Plan)]


async def _learn_words(
    device: Device, decoded: Decoded, interner: Interner, plans: list[Plan | None]
) -> tuple[Mapping[str, int], list[Plan | None]]:
    known = device.factory.word_ids
    texts = {v: None for values in decoded.values for v in values.values() if type(v) is str}
    missing = [text for text in texts if text not in known]
    if not missing:
        return known, plans
    words: dict[str, Any] = {text: known[text] for text in texts if text in known}
    words.update(await interner.learn_words(device, missing))
    reasons = [
        next(
            (
                words[v]
                for v in values.values()
                if type(v) is str and isinstance(words[v], ItemRefused)
            ),
            None,
        )
        for values in decoded.values
    ]
    kept = [found for found, reason in zip(plans, reasons, strict=True) if reason is None]
    _reject(decoded, reasons)
    return words, kept


def _reject(decoded: Decoded, reasons: Sequence[ItemRefused | None]) -> None:
    """Move the readings that have a reason from the accepted to the rejected ones."""
    if not any(reasons):
        return
    indexes = decoded.indexes
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    decoded.rejected += [
        reason.rejection(indexes[i], _shown(decoded.times[i], decoded.values[i]))
        for i, reason in enumerate(reasons)
        if reason is not None
    ]
    decoded.rejected.sort(key=lambda rejection: rejection.index)
    decoded.indexes = [indexes[i] for i in kept]
    decoded.times = [decoded.times[i] for i in kept]
    decoded.values = [decoded.values[i] for i in kept]
    decoded.numbers = None


def _shown(time_us: int, values: dict[str, Value]) -> str:
    return _ENCODE({"ts": iso_utc(time_us), "values": values}).decode()
