"""Time as one core takes it, whoever else is at work on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Took:
    """How long one call took: of the processor's time, all threads together, and by the clock."""

    busy_ms: float
    elapsed_ms: float


@contextmanager
def one_core() -> Iterator[None]:
    """Keep every library at one thread, as a judging process does; the network has one anyway."""
    n_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        cv2.setNumThreads(n_threads)


def timed(work: Callable[[], Answer]) -> tuple[Answer, Took]:
    """Return what the work gives and how long it took."""
    started, used = time.perf_counter(), time.process_time()
    answer = work()
    busy, elapsed = time.process_time() - used, time.perf_counter() - started
    return answer, Took(1000 * busy, 1000 * elapsed)


def figures(took: Sequence[Took]) -> dict[str, float]:
    """Return the medians: `ms_per_image` of one core's time, `ms_elapsed` by the clock."""
    return {
        "ms_per_image": float(np.median([one.busy_ms for one in took])),
        "ms_elapsed": float(np.median([one.elapsed_ms for one in took])),
    }
