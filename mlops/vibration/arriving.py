"""Bursts as programs send them: each is checked by itself, so that a bad one sinks no other.

Pure, no Django. What a burst looks like on the way in is described in `docs/vibration.md`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from mlops.lives import FloatArray
from mlops.vibration.levels import STANDARD_GRAVITY_M_S2

MIN_SAMPLES: Final = 256
MAX_SAMPLES: Final = 262_144
RATE_HZ: Final = (100.0, 200_000.0)
MAX_RPM: Final = 200_000.0
MAX_LOAD_PERCENT: Final = 1_000.0
# No accelerometer reads more; a larger number is not in the unit that was named.
MAX_M_S2: Final = 1e6
MAX_AHEAD: Final = timedelta(hours=24)
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
MAX_POINT: Final = 80
SCALES: Final = {"g": STANDARD_GRAVITY_M_S2, "m/s2": 1.0}


class BurstRefused(ValueError):
    """A burst cannot be stored; `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class NewBurst:
    """A burst that was found good.

    Attributes:
        samples_m_s2: (n_samples,), finite.
        unit: in which it was sent.
    """

    point: str
    taken_at: datetime
    rate_hz: float
    samples_m_s2: FloatArray
    unit: str = "m/s2"
    speed_rpm: float | None = None
    load_percent: float | None = None


def burst_of(raw: object, *, now: datetime) -> NewBurst:
    """Read one burst of a body.

    Raises:
        BurstRefused: with what is wrong first.
    """
    if not isinstance(raw, Mapping):
        raise BurstRefused("not_an_object", "A burst is an object with its samples.")
    unit = raw.get("unit", "g")
    if not isinstance(unit, str) or unit not in SCALES:
        raise BurstRefused("unknown_unit", 'The unit is "g" or "m/s2".')
    return NewBurst(
        point=_point(raw.get("point")),
        taken_at=_taken_at(raw.get("taken_at"), now=now),
        rate_hz=_number(raw, "sample_rate_hz", *RATE_HZ),
        samples_m_s2=_samples(raw.get("samples"), SCALES[unit]),
        unit=unit,
        speed_rpm=_optional(raw, "speed_rpm", 1.0, MAX_RPM),
        load_percent=_optional(raw, "load_percent", 0.0, MAX_LOAD_PERCENT),
    )


def packed(samples_m_s2: FloatArray) -> bytes:
    """Return samples as they are kept: little-endian float32, zlib."""
    return zlib.compress(samples_m_s2.astype("<f4").tobytes(), 6)


def unpacked(payload: bytes) -> FloatArray:
    """Return (n_samples,) m/s² as kept by `packed`; never more than a burst may have."""
    raw = zlib.decompressobj().decompress(payload, MAX_SAMPLES * 4)
    return np.frombuffer(raw, dtype="<f4").astype(np.float64)


def _point(value: object) -> str:
    point = " ".join(value.split()) if isinstance(value, str) else ""
    if not 0 < len(point) <= MAX_POINT or not point.isprintable():
        raise BurstRefused("bad_point", f"The point has 1 to {MAX_POINT} characters.")
    return point


def _taken_at(value: object, *, now: datetime) -> datetime:
    try:
        taken_at = datetime.fromisoformat(value) if isinstance(value, str) else None
        at = taken_at.astimezone(UTC) if taken_at and taken_at.tzinfo else None
    except (ValueError, OverflowError):
        at = None
    if at is None or at < EARLIEST:
        raise BurstRefused(
            "bad_taken_at", "taken_at is a time with its zone: 2026-11-26T10:00:00Z."
        )
    if at > now + MAX_AHEAD:
        raise BurstRefused("in_the_future", "taken_at lies more than 24 h ahead.")
    return at


def _number(raw: Mapping[Any, Any], name: str, low: float, high: float) -> float:
    value: Any = raw.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # also false for NaN
        raise BurstRefused(f"bad_{name}", f"{name} is a number from {low:g} to {high:g}.")
    return float(value)


def _optional(raw: Mapping[Any, Any], name: str, low: float, high: float) -> float | None:
    return None if raw.get(name) is None else _number(raw, name, low, high)


def _samples(value: object, scale: float) -> FloatArray:
    if not isinstance(value, list) or not MIN_SAMPLES <= len(value) <= MAX_SAMPLES:
        raise BurstRefused(
            "bad_length", f"A burst has {MIN_SAMPLES} to {MAX_SAMPLES:,} samples in a list."
        )
    place = next((i for i, one in enumerate(value) if not _is_good(one, scale)), None)
    if place is not None:
        raise BurstRefused("bad_sample", f"Sample {place} is no number, or too large.")
    return np.asarray(value, dtype=np.float64) * scale


def _is_good(value: object, scale: float) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= MAX_M_S2 / scale  # also false for NaN
    )
