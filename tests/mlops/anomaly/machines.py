"""Made-up machines: two products, four signals that belong together, and what may befall them."""

import numpy as np

SIGNALS = ("speed_rpm", "current_a", "vib_mm_s", "heat_c")
# Levels of the two products.
LEVELS = np.array([[1200.0, 8.0, 1.6, 41.0], [2400.0, 15.0, 3.1, 55.0]])
NOISE = np.array([12.0, 0.15, 0.06, 0.5])


def rows(n: int, *, seed: int, products: int = 1, run: int = 50) -> np.ndarray:
    """Return (n, 4) of normal running; products change every `run` rows."""
    rng = np.random.default_rng(seed)
    product = (np.arange(n) // run) % products
    common = rng.normal(size=(n, 1))
    noise = 0.8 * common * np.array([1.0, 1.0, 0.0, 0.0]) + 0.6 * rng.normal(size=(n, 4))
    values: np.ndarray = LEVELS[product] + NOISE * noise
    return values
