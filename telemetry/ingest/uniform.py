"""Batches of the shape that a device is known to send: rows of JSON straight into one array.

`decoding` makes a dict of each reading and then finds out that all are alike. Where a device has
sent such a batch before, the next one is decoded into structs with exactly these keys, which is
also the check; whatever differs in anything goes the common way. It takes two thirds of the time.
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from telemetry.ingest.columnar import Columnar
from telemetry.ingest.decoding import MANY, MAX_EXACT_INT, ServerTimes, check_count
from telemetry.ingest.stamps import times_of

Keys = tuple[str, ...]

_LISTED = b'{"readings":'
# More keys in a reading than this, and the dict is no longer what costs.
_MAX_KEYS = 64
_times_of = attrgetter("ts")
_values_of = attrgetter("values")


def decode(body: bytes, keys: Keys, *, now_us: int, server_times: ServerTimes) -> Columnar | None:
    """Decode a batch of rows with just these keys, all of them numbers; None where it is not.

    Raises:
        RequestRefused: 413 when the request holds too many readings.
    """
    if len(keys) > _MAX_KEYS or not body.startswith((b"[", _LISTED)):
        return None
    decode_list, decode_object = _decoders(keys)
    try:
        readings = decode_list(body) if body[:1] == b"[" else decode_object(body).readings
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    check_count(len(readings))
    if len(readings) < MANY:
        return None
    n_values = len(readings) * len(keys)
    flat = chain.from_iterable(map(msgspec.structs.astuple, map(_values_of, readings)))
    numbers = np.fromiter(flat, np.float64, n_values)
    if np.abs(numbers).max() >= MAX_EXACT_INT:
        return None
    times = times_of(list(map(_times_of, readings)), now_us, server_times)
    return None if times is None else Columnar(keys, times, numbers.reshape(-1, len(keys)))


@lru_cache(maxsize=256)
def _decoders(keys: Keys) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
    """Return decoders of a list of such readings, and of an object that holds it."""
    fields = [(f"v{i}", float) for i in range(len(keys))]
    values = msgspec.defstruct(
        "Values",
        fields,
        rename={name: key for (name, _), key in zip(fields, keys, strict=True)},
        forbid_unknown_fields=True,
        gc=False,
    )
    reading = msgspec.defstruct(
        "Reading",
        [("values", values), ("ts", str | int)],
        gc=False,
    )
    readings: Any = list[reading]  # type: ignore[valid-type]
    envelope = msgspec.defstruct("Envelope", [("readings", readings)])
    return msgspec.json.Decoder(readings).decode, msgspec.json.Decoder(envelope).decode
