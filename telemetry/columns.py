"""Answers to COPY (...) TO STDOUT (FORMAT BINARY) as numpy columns and bytes.

Rows of one keyset have one length, so that a whole range of hot rows is one array without a
loop; segments are few and are taken apart one by one.
Format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_HEADER_BYTES = 19
_TRAILER_BYTES = 2
_PG_EPOCH_US = 946_684_800_000_000


def copied(statement: str, values: Sequence[Any]) -> bytes:
    """Return the image of a query's result; `statement` selects, with placeholders."""
    with (
        connection.cursor() as cursor,
        # The driver's own cursor, so that it also works where Django logs statements.
        cursor.cursor.copy(f"COPY ({statement}) TO STDOUT (FORMAT BINARY)", values) as copy,
    ):
        return b"".join(bytes(piece) for piece in copy)


def rows(image: bytes, *, n_keys: int) -> tuple[Int64s, Floats]:
    """Read SELECT ts, vals of rows of one keyset.

    Returns:
        times in microseconds since 1970 (n,), values (n, n_keys).
    """
    value = np.dtype([("length", ">i4"), ("value", ">f8")])
    row: np.dtype[Any] = np.dtype(
        [
            ("n_fields", ">i2"),
            ("time_length", ">i4"), ("time", ">i8"),
            ("vals_length", ">i4"),
            ("n_dimensions", ">i4"), ("has_null", ">i4"), ("oid", ">i4"),
            ("n", ">i4"), ("lower", ">i4"),
            ("values", value, (n_keys,)),
        ]
    )  # fmt: skip
    body = image[_HEADER_BYTES : len(image) - _TRAILER_BYTES]
    found = np.frombuffer(body, row)
    times = found["time"].astype(np.int64) + _PG_EPOCH_US
    return times, found["values"]["value"].astype(np.float64)


def payloads(image: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Read SELECT t0, keyset_id, payload: time in microseconds, keyset, payload."""
    at, end = _HEADER_BYTES, len(image) - _TRAILER_BYTES
    head = struct.Struct(">hiqiii")
    while at < end:
        _, _, t0, _, keyset_id, length = head.unpack_from(image, at)
        at += head.size
        yield t0 + _PG_EPOCH_US, keyset_id, image[at : at + length]
        at += length
