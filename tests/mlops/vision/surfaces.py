"""Surfaces drawn pixel by pixel: kinds of texture, and marks at known places."""

import numpy as np
from scipy import ndimage

from mlops.vision.boxes import Box, Labelled

SIDE = 160
KINDS = ("brushed", "grainy", "plain", "woven")


def surface(kind: str, seed: int) -> np.ndarray:
    """Return (160, 160, 3) of a kind of surface; the seed decides its light and its grain."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    match kind:
        case "brushed":
            grain = ndimage.gaussian_filter(noise, (0.5, 12)) * 120
        case "grainy":
            grain = ndimage.gaussian_filter(noise, 1.5) * 120
        case "woven":
            grain = 25 * (np.sin(x / 3 + rng.uniform(0, 6)) * np.sin(y / 3 + rng.uniform(0, 6)))
        case _:
            grain = noise * 2
    level = rng.uniform(100, 150) + rng.normal(0, 8) * (x / SIDE - 0.5)
    pixels = np.clip(level + grain + noise, 0, 255).astype(np.uint8)
    return np.repeat(pixels[..., None], 3, axis=2)


def marked(seed: int, kinds: tuple[str, ...] = ("blot", "lines")) -> tuple[np.ndarray, Labelled]:
    """Return a plain surface with one mark of 48 pixels: a dark blot or bright lines."""
    rng = np.random.default_rng(seed)
    pixels = surface("plain", seed)
    left, top = (int(v) for v in rng.integers(4, SIDE - 56, 2))
    kind = kinds[seed % len(kinds)]
    part = pixels[top : top + 48, left : left + 48]
    y, x = np.mgrid[-24:24, -24:24]
    if kind == "blot":
        part[np.hypot(x, y) < 23] = 30
    else:
        part[(x + y) % 8 < 3] = 240
    return pixels, Labelled(Box(left, top, left + 48, top + 48), kind)
