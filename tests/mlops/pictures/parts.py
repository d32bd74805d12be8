"""Pictures of a turned part, sound or spoilt, drawn anew for each seed."""

import io

import cv2
import numpy as np
from PIL import Image

SIDE = 200


def part(seed: int, *, spoilt: str = "", light: float = 1.0) -> np.ndarray:
    """Return (SIDE, SIDE, 3): a disc with rings and three bores; `spoilt` scratch or hole."""
    rng = np.random.default_rng(seed)
    grey = np.full((SIDE, SIDE), 70.0, np.float32)
    x, y = 100 + int(rng.integers(-2, 3)), 100 + int(rng.integers(-2, 3))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(rows - y, columns - x)
    disc = radius < 80
    grey[disc] = 150 + 8 * np.sin(radius[disc] * 1.3)
    for angle in (0.3, 2.4, 4.5):
        cv2.circle(grey, (int(x + 50 * np.cos(angle)), int(y + 50 * np.sin(angle))), 9, 40.0, -1)
    if spoilt == "scratch":
        start = (x + int(rng.integers(-50, -20)), y + int(rng.integers(-20, 20)))
        cv2.line(grey, start, (start[0] + 45, start[1] + 18), 225.0, 2)
    elif spoilt == "hole":
        angle = rng.uniform(1.0, 1.8)
        centre = (int(x + 60 * np.cos(angle)), int(y + 60 * np.sin(angle)))
        cv2.circle(grey, centre, 6, 30.0, -1)
    lit = grey * light + rng.normal(0, 3, grey.shape)
    return np.repeat(lit.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
