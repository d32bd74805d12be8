"""Pictures of parts, drawn: two textures and a milled plate, under changing light, with defects."""

import cv2
import numpy as np

SIDE = 240
HOLES = ((70, 70, 10), (170, 70, 10), (70, 170, 10), (170, 170, 10), (120, 120, 20))


def noise(rng, *, across, down):
    grain = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), sigmaX=across, sigmaY=down)
    return grain / grain.std()


def brushed(rng):
    return (150 + 12 * noise(rng, across=12, down=0.7))[..., None] * np.array([0.97, 1.0, 1.03])


def cast(rng):
    grain = 14 * noise(rng, across=1.5, down=1.5) + 8 * noise(rng, across=5, down=5)
    return (110 + grain)[..., None] * np.ones(3)


def plate(rng, *, without=None):
    picture = np.full((SIDE, SIDE, 3), 45.0)
    picture[30:210, 30:210] = 160 + 6 * noise(rng, across=8, down=0.8)[30:210, 30:210, None]
    for number, (x, y, radius) in enumerate(HOLES):
        if number != without:
            cv2.circle(picture, (x, y), radius, (48, 48, 50), -1, cv2.LINE_AA)
    moved = np.array([[1, 0, rng.normal()], [0, 1, rng.normal()]])
    return cv2.warpAffine(picture, moved, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)


def lit(rng, picture):
    """Light it a little more or less, from one side, with the camera's noise."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.normal(0, 0.04) + 0.08 * (np.cos(angle) * x + np.sin(angle) * y)
    shown = picture * light[..., None] + rng.normal(0, 1.5, picture.shape)
    return shown.clip(0, 255).astype(np.uint8)


def spot(rng):
    return tuple(int(value) for value in rng.integers(50, SIDE - 50, 2))


def scratched(rng, picture):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    (x, y), angle = spot(rng), rng.uniform(0, np.pi)
    end = (int(x + 45 * np.cos(angle)), int(y + 45 * np.sin(angle)))
    cv2.line(mask, (x, y), end, 1, 2)
    return picture + 60.0 * mask[..., None], cv2.dilate(mask, np.ones((3, 3))) > 0


def pitted(rng, picture):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(mask, spot(rng), 5, 1, -1)
    return picture * (1 - 0.5 * mask[..., None]), mask > 0


def stained(rng, picture, *, strength=0.35):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.ellipse(mask, spot(rng), (20, 14), 30, 0, 360, 1, -1)
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3)[..., None]
    return picture * (1 - strength * soft * np.array([0.3, 0.7, 1.0])), mask > 0


PRODUCTS = {"brushed": brushed, "cast": cast, "plate": plate}
DEFECTS = {"scratch": scratched, "pit": pitted, "stain": stained}


def good(product, n, *, seed):
    rng = np.random.default_rng(seed)
    return [lit(rng, PRODUCTS[product](rng)) for _ in range(n)]


def defective(product, kind, n, *, seed, **how):
    """Return pictures and masks."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        picture, mask = DEFECTS[kind](rng, PRODUCTS[product](rng), **how)
        made.append((lit(rng, picture), mask))
    return made


def incomplete(n, *, seed):
    """Return plates that lack a hole."""
    rng = np.random.default_rng(seed)
    return [lit(rng, plate(rng, without=int(rng.integers(len(HOLES))))) for _ in range(n)]
