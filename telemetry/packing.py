"""Readings to bytes and back: columns of times and values, each as small as it goes.

What a machine reports are mostly decimals of few digits: 58.22 is 5822 hundredths. A column of
them is a column of whole numbers; their differences are small; their bytes, sorted by
significance, deflate well. Whatever is no decimal is kept as the eight bytes it is. Every
column is a deflate stream of its own, so that reading one signal inflates one signal.

The layout is little-endian: `_HEAD`, then for the times and for each key one `_COLUMN` entry,
then the streams in the same order. NaN means that a reading has no value for a key. Source of
the idea: Gorilla (Pelkonen et al., VLDB 2015) for deltas of times, ALP (Afroozeh et al., SIGMOD
2023) for decimals as whole numbers.
"""

import struct
import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CODEC: Final = 1
# SMALL for what is sealed once and read often. What the compactor will rewrite is only stored:
# deflating 500 readings of 4 values takes longer than decoding them from JSON.
SMALL: Final = 6
FAST: Final = 0
# At most so many readings fit one payload; the writer cuts before.
MAX_READINGS: Final = 1_000_000
_MAX_DIGITS: Final = 9
# Whole numbers beyond are not exact in a float.
_MAX_EXACT: Final = float(2**53)
_POWERS: Final = np.power(10.0, np.arange(_MAX_DIGITS + 1))
_HEAD: Final = struct.Struct("<BHI")  # codec, keys, readings
# How, digits (times: step), bytes a number, first number, bytes of the presence and value streams.
_COLUMN: Final = struct.Struct("<BBBqII")
_STEP: Final = struct.Struct("<q")
_SAMPLE: Final = 64
_STORED: Final = struct.Struct("<BHH")  # is the last block, its bytes, the same inverted
_MAX_STORED: Final = 0xFFFF


class _How(IntEnum):
    SAME = 0  # one whole number, `first`, for all
    WHOLE = 1  # scaled whole numbers less `first`
    STEPS = 2  # their differences
    PLAIN = 3  # floats as they are
    EMPTY = 4  # no value at all
    LINE = 5  # `first`, and on with one step, which is the stream


class Corrupt(Exception):
    """The bytes are not a payload of this codec."""


def pack(times: Int64s, values: Floats, *, level: int = SMALL) -> bytes:
    """Pack readings in ascending order of time.

    Args:
        times: (n,) microseconds since 1970, ascending, n >= 1.
        values: (n, n_keys); NaN where a reading has no value. -0.0 comes back as 0.0.
        level: of deflate; SMALL also tries more than one form for each column.
    """
    n, n_keys = values.shape
    columns = np.ascontiguousarray(values.T)
    packed = _pack_at_once(columns) if level == FAST and n_keys else None
    if packed is None:
        packed = [_pack_values(column, level) for column in columns]
    entries, streams = [], []
    for entry, presence, stream in (_pack_whole(times, 0, level), *packed):
        entries.append(_COLUMN.pack(*entry, len(presence), len(stream)))
        streams += [presence, stream]
    return b"".join([_HEAD.pack(CODEC, n_keys, n), *entries, *streams])


def unpack(payload: bytes, columns: Sequence[int] | None = None) -> tuple[Int64s, Floats]:
    """Return times (n,) and values (n, len(columns)) of some keys, in the order asked for.

    Raises:
        Corrupt: the bytes were cut, changed, or made by a later codec.
    """
    try:
        codec, n_keys, n = _HEAD.unpack_from(payload)
        if codec != CODEC or n > MAX_READINGS:
            raise Corrupt(f"codec {codec}, {n} readings")
        entries = [
            _COLUMN.unpack_from(payload, _HEAD.size + i * _COLUMN.size) for i in range(n_keys + 1)
        ]
        starts = [_HEAD.size + (n_keys + 1) * _COLUMN.size]
        for entry in entries:
            starts.append(starts[-1] + entry[4] + entry[5])
        wanted = range(n_keys) if columns is None else columns
        times = _unpack_column(payload, starts[0], entries[0], n)
        values = np.empty((n, len(wanted)))
        for i, key in enumerate(wanted):
            values[:, i] = _unpack_column(payload, starts[key + 1], entries[key + 1], n)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        raise Corrupt(str(error)) from error
    return times.astype(np.int64), values


def n_readings(payload: bytes) -> int:
    """Say how many readings a payload holds, without inflating it."""
    n: int = _HEAD.unpack_from(payload)[2]
    return n


_Entry = tuple[int, int, int, int]
_Packed = tuple[_Entry, bytes, bytes]


def _pack_at_once(columns: Floats) -> list[_Packed] | None:
    """Pack columns (n_keys, n) with one number of digits; None where that does not fit.

    A call of numpy costs more than what it does to 500 numbers.
    """
    scaled = _as_whole(columns)
    if scaled is None:
        return None
    whole, digits = scaled
    lows, highs = whole.min(axis=1), whole.max(axis=1)
    numbers = (whole - lows[:, None]).astype("<u8", copy=False).view(np.uint8)
    n_keys, n = columns.shape
    width = max(1, (int((highs - lows).max(axis=0)).bit_length() + 7) // 8)
    planes = numbers.reshape(n_keys, n, 8)[:, :, :width].transpose(0, 2, 1).tobytes()
    size = n * width
    return [
        ((_How.WHOLE, digits, width, low), b"", _stored(planes[i * size : (i + 1) * size]))
        for i, low in enumerate(lows.tolist())
    ]


def _pack_values(column: Floats, level: int) -> _Packed:
    absent = np.isnan(column)
    presence = b""
    if absent.any():
        if absent.all():
            return (_How.EMPTY, 0, 0, 0), b"", b""
        presence = _deflate([np.packbits(absent, bitorder="little").tobytes()], level)
        column = column[~absent]
    scaled = _as_whole(column)
    if scaled is None:
        _, stream = _planes(column.view(np.uint64), 2**64 - 1, level)
        return (_How.PLAIN, 0, 8, 0), presence, stream
    whole, digits = scaled
    entry, _, stream = _pack_whole(whole, digits, level)
    return entry, presence, stream


def _as_whole(column: Floats) -> tuple[Int64s, int] | None:
    """Find the fewest digits with which every value is a decimal, exactly; NaN never is."""
    # Numbers beyond would not be exact, and might overflow below.
    if not np.abs(column).max() < _MAX_EXACT:
        return None
    sample = column[..., :_SAMPLE]
    for power, digits in zip(_POWERS, range(_MAX_DIGITS + 1), strict=True):
        if not np.array_equal(np.rint(sample * power) / power, sample):
            continue
        whole = np.rint(column * power)
        if np.array_equal(whole / power, column):
            # A far number beside near ones needs more digits than are exact.
            return None if np.abs(whole).max() >= _MAX_EXACT else (whole.astype(np.int64), digits)
    return None


def _pack_whole(whole: Int64s, digits: int, level: int) -> _Packed:
    first = int(whole[0])
    steps = np.diff(whole)
    if not steps.any():
        return (_How.SAME, digits, 0, first), b"", b""
    if (steps == steps[0]).all():
        return (_How.LINE, digits, 8, first), b"", _STEP.pack(int(steps[0]))
    low, high = int(whole.min(axis=0)), int(whole.max(axis=0))
    step_span = _zigzag_span(steps)
    # Differences first: where they are no narrower than the numbers, the numbers are kept.
    use_steps = step_span <= high - low
    if level >= SMALL:
        a = _planes(_zigzag(steps), step_span, level)
        b = _planes((whole - low).view(np.uint64), high - low, level)
        use_steps = len(a[1]) <= len(b[1])
        width, stream = a if use_steps else b
    elif use_steps:
        width, stream = _planes(_zigzag(steps), step_span, level)
    else:
        width, stream = _planes((whole - low).view(np.uint64), high - low, level)
    if use_steps:
        return (_How.STEPS, digits, width, first), b"", stream
    return (_How.WHOLE, digits, width, low), b"", stream


def _zigzag(steps: Int64s) -> npt.NDArray[np.uint64]:
    return ((steps << 1) ^ (steps >> 63)).view(np.uint64)


def _zigzag_span(steps: Int64s) -> int:
    return 2 * max(int(steps.max(axis=0)), -int(steps.min(axis=0)))


def _planes(numbers: npt.NDArray[np.uint64], span: int, level: int) -> tuple[int, bytes]:
    """Deflate the numbers byte plane by byte plane, the least significant first."""
    width = max(1, (span.bit_length() + 7) // 8)
    bytes_of = numbers.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)
    planes = [bytes_of[:, i].tobytes() for i in range(width)]
    return width, _deflate(planes, level)


def _deflate(planes: list[bytes], level: int) -> bytes:
    if level == FAST:
        return _stored(b"".join(planes))
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    parts = []
    for plane in planes:
        # A block of its own for each plane, with the code that fits it: up to a fifth smaller.
        parts += [packer.compress(plane), packer.flush(zlib.Z_PARTIAL_FLUSH)]
    parts.append(packer.flush())
    return b"".join(parts)


def _stored(data: bytes) -> bytes:
    """Deflate without compressing: blocks of at most 65,535 bytes as they are (RFC 1951, 3.2.4).

    What zlib does at level 0, without the 256 KB of memory that it takes for each stream.
    """
    parts = []
    for start in range(0, max(1, len(data)), _MAX_STORED):
        block = data[start : start + _MAX_STORED]
        is_last = start + _MAX_STORED >= len(data)
        parts += [_STORED.pack(is_last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join(parts)


def _inflate(data: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-15)
    out = inflater.decompress(data, size + 1)
    if len(out) != size or not inflater.eof:
        raise Corrupt("a stream has the wrong length")
    return out


def _unpack_column(payload: bytes, start: int, entry: tuple[int, ...], n: int) -> Int64s | Floats:
    how, digits, width, first, n_presence, n_stream = entry
    if start + n_presence + n_stream > len(payload):
        raise Corrupt("the payload is cut off")
    if how == _How.EMPTY:
        return np.full(n, np.nan)
    present = None
    n_present = n
    if n_presence:
        bits = _inflate(payload[start : start + n_presence], (n + 7) // 8)
        present = ~np.unpackbits(np.frombuffer(bits, np.uint8), count=n, bitorder="little").astype(
            bool
        )
        n_present = int(present.sum())
    start += n_presence
    column = _numbers(payload[start : start + n_stream], how, width, first, n_present)
    if column.dtype == np.int64 and (digits or n_presence):
        column = column / _POWERS[digits]
    if present is None:
        return column
    whole = np.full(n, np.nan)
    whole[present] = column
    return whole


def _numbers(stream: bytes, how: int, width: int, first: int, n: int) -> Int64s | Floats:
    if how == _How.SAME:
        return np.full(n, first, np.int64)
    if how == _How.LINE:
        (step,) = _STEP.unpack(stream)
        return np.arange(n, dtype=np.int64) * np.int64(step) + first
    n_coded = n - 1 if how == _How.STEPS else n
    planes = np.frombuffer(_inflate(stream, n_coded * width), np.uint8).reshape(width, n_coded)
    coded = np.zeros((n_coded, 8), np.uint8)
    coded[:, :width] = planes.T
    if how == _How.PLAIN:
        return coded.view(np.float64).ravel()
    numbers = coded.view(np.uint64).ravel()
    if how == _How.WHOLE:
        return numbers.view(np.int64) + first
    if how != _How.STEPS:
        raise Corrupt(f"unknown form {how}")
    steps = (numbers >> np.uint64(1)).view(np.int64) ^ -(numbers & np.uint64(1)).view(np.int64)
    whole = np.empty(n, np.int64)
    whole[0] = first
    np.cumsum(steps, out=whole[1:])
    whole[1:] += first
    return whole
