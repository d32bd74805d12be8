"""Rows of the hot table as numpy columns, straight from COPY BINARY.

Rows of one keyset have one length, so that a whole range is one array without a loop.
Format: https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_HEADER_BYTES = 19
_TRAILER_BYTES = 2
_PG_EPOCH_US = 946_684_800_000_000


def parse(image: bytes, *, n_keys: int) -> tuple[Int64s, Floats]:
    """Read the answer to COPY (SELECT ts, vals ...) of one keyset.

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
    rows = np.frombuffer(body, row)
    times = rows["time"].astype(np.int64) + _PG_EPOCH_US
    return times, rows["values"]["value"].astype(np.float64)
