"""The times of a batch, written as texts, all at once.

`2026-11-26T07:48:57.250Z` five hundred times is a matrix of digits. Parsed one by one they take
as long as decoding all else in the batch.
"""

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from telemetry.ingest import limits
from telemetry.ingest.decoding import DateTime, ServerTimes, Stamp, stamps_of
from telemetry.times import to_us

Int64s = npt.NDArray[np.int64]
Sent = list[str | int | None]

_DAY_US: Final = 86_400_000_000
_MICROSECONDS: Final = (36e9, 3.6e9, 6e8, 6e7, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 1e1, 1e0)
_CLOCK: Final = (11, 12, 14, 15, 17, 18)  # where hh, mm and ss stand


def _forms() -> dict[int, tuple[Any, ...]]:
    """By length of the text: where digits stand, what they are worth, where marks stand, which."""
    forms: dict[int, tuple[Any, ...]] = {20: (_CLOCK, _MICROSECONDS[:6], (13, 16, 19), b"::Z")}
    for digits in range(1, 7):
        width = 21 + digits
        places = (*_CLOCK, *range(20, width - 1))
        forms[width] = places, _MICROSECONDS[: 6 + digits], (13, 16, 19, width - 1), b"::.Z"
    return {
        width: (np.array(a), np.array(b), np.array(c), np.frombuffer(d, np.uint8))
        for width, (a, b, c, d) in forms.items()
    }


_FORMS: Final = _forms()


def times_of(sent: Sent, now_us: int, server_times: ServerTimes) -> Int64s | None:
    """Return times (n,) in microseconds; None where one of them needs a closer look."""
    if set(map(type, sent)) == {str}:
        times = of_one_day(sent)  # type: ignore[arg-type]
        if times is not None:
            is_known = times.min() >= 0 and times.max() <= now_us + limits.FUTURE_LIMIT_US
            return times if is_known else None
    try:
        found = stamps_of(msgspec.convert(sent, list[Stamp | None]), now_us, server_times)
    except (msgspec.ValidationError, ValueError):
        return None
    return None if found is None else np.array(found, np.int64)


def of_one_day(texts: list[str]) -> Int64s | None:
    """Return the times of texts in one form, in UTC and of one day; None for all others."""
    width = len(texts[0])
    form = _FORMS.get(width)
    if form is None or set(map(len, texts)) != {width}:
        return None
    places, worth, marked, marks = form
    try:
        chars = np.frombuffer("".join(texts).encode("ascii"), np.uint8).reshape(-1, width)
        first = to_us(msgspec.convert(texts[0], DateTime))
    except ValueError:
        return None
    if (chars[:, :11] != chars[0, :11]).any():
        return None
    digits = chars[:, places] - ord("0")
    if (
        (chars[:, marked] != marks).any()
        or digits.max() > 9
        or (digits[:, 0] * 10 + digits[:, 1]).max() > 23
        or digits[:, (2, 4)].max() > 5
    ):
        return None
    # Less than 2**53 all the way, so that floats are exact.
    since_midnight: Int64s = (digits @ worth).astype(np.int64)
    return since_midnight + first // _DAY_US * _DAY_US
