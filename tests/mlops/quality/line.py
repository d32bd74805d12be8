"""A made-up line whose truth is known: parts crack when the melt ran hot or the press weak."""

import numpy as np

from mlops.quality.parts import Part, Readings, Stage
from mlops.tabular.table import Outcome

HOT_C = 206.0
WEAK_BAR = 74.0


def readings(values, *, start_s=0.0, step_s=10.0):
    return Readings(start_s + step_s * np.arange(len(values)), np.asarray(values, dtype=float))


def part(melt_c, press_bar, *, rng, supplier="A", moisture=0.2, pressed=True):
    melt = Stage(0.0, 60.0, {"temperature": readings(melt_c + rng.normal(0, 0.3, 6))})
    stages = {"melt": melt}
    if pressed:
        pressure = readings(press_bar + rng.normal(0, 0.3, 4), start_s=90)
        stages["press"] = Stage(90.0, 130.0, {"pressure": pressure})
    return Part(stages, {"moisture": moisture, "supplier": supplier})


def cracked(n=500, *, seed=0, noise=0.02):
    """Parts of a steady line with their outcomes and times, oldest first."""
    rng = np.random.default_rng(seed)
    melt, press = rng.normal(200, 5, n), rng.normal(80, 4, n)
    parts = [
        part(
            melt[i], press[i], rng=rng, supplier="AB"[i % 2], moisture=float(rng.normal(0.2, 0.02))
        )
        for i in range(n)
    ]
    bad = (melt > HOT_C) | (press < WEAK_BAR)
    bad ^= rng.random(n) < noise
    return parts, Outcome(("fine", "cracked"), bad.astype(np.int64)), 60.0 * np.arange(n)
