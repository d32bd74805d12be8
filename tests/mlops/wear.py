"""Made-up machines whose wear is known: vibration and heat rise as life runs out."""

import numpy as np

from mlops.lives import Life

SIGNALS = ("heat_c", "load_pct", "vib_mm_s")


def worn_values(length: int, seed: int) -> np.ndarray:
    """Return (length, 3) of a run that fails after its last step."""
    rng = np.random.default_rng(seed)
    left = np.arange(length)[::-1]
    wear = np.exp(-left / 12.0)
    noise = rng.normal(0.0, 1.0, (length, 3))
    return np.column_stack(
        [
            40.0 + 15.0 * wear + 0.8 * noise[:, 0],
            55.0 + 3.0 * noise[:, 1],
            1.5 + 4.0 * wear + 0.15 * noise[:, 2],
        ]
    )


def worn_life(key: str, *, length: int, seed: int, group: str | None = None) -> Life:
    return Life(key, group or key, np.arange(float(length)), worn_values(length, seed), True)


def fleet(n_lives: int = 12) -> list[Life]:
    rng = np.random.default_rng(7)
    return [
        worn_life(f"life {i}", length=int(rng.integers(50, 90)), seed=i) for i in range(n_lives)
    ]
