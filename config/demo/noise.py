"""Noise that is a function of time, so that a machine can be asked about any instant again.

A sequential generator would give another history when it is asked in other steps. Here every
value is hashed from (stream, time): the same question has the same answer, in any order.
"""

import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def stream(seed: int, *names: str) -> int:
    """Name an independent stream of noise."""
    return (seed << 32) ^ zlib.crc32("/".join(names).encode())


def _mixed(x: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    # Finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit moves every output bit.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def uniform(stream_id: int, ticks: npt.NDArray[Any]) -> FloatArray:
    """Draw from [0, 1) for each integer tick."""
    start = np.uint64(stream_id & 0xFFFFFFFFFFFFFFFF)
    bits = _mixed(_mixed(ticks.astype(np.uint64) * _GOLDEN + start) + _GOLDEN)
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) / 2.0**53)


def white(stream_id: int, ticks: IntArray) -> FloatArray:
    """Draw nearly normal values (mean 0, standard deviation 1) as a sum of four uniforms."""
    total = sum(uniform(stream_id + k, ticks) for k in range(4))
    return np.asarray((total - 2.0) * np.sqrt(3.0))


def smooth(stream_id: int, times_s: FloatArray, *, period_s: float) -> FloatArray:
    """Draw a slowly wandering value of about unit size, by interpolation between lattice draws."""
    position = times_s / period_s
    left = np.floor(position).astype(np.int64)
    part = position - left
    weight = part * part * (3 - 2 * part)
    return white(stream_id, left) * (1 - weight) + white(stream_id, left + 1) * weight
