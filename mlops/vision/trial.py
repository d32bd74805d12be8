"""Which view serves a product best, tried on good pictures that are damaged at random.

No defect has been seen yet when a product is taught. So half of the good pictures teach, and the
other half is judged, whole and damaged: pieces of the picture pasted elsewhere, thin scars, spots
darker or brighter, details wiped out. The damage is faint, since strong damage tells views apart
no better. It only weighs views against each other: no figure of it is shown to anybody.

Source: Li and others, CutPaste: self-supervised learning for anomaly detection (CVPR, 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from mlops.lives import FloatArray
from mlops.tabular.table import BoolArray
from mlops.vision import memory, places
from mlops.vision.backbone import Pixels, Single
from mlops.vision.heat import Blend, Scale
from mlops.vision.known import cells_of
from mlops.vision.patches import Frame, describe

# The places alone come first: they are the quickest, and win where nothing is better.
SHARES: Final = (1.0, 0.75, 0.5, 0.25, 0.0)
WORTHWHILE: Final = 0.01  # what another share must gain
MOST_JUDGED: Final = 20
N_MEMBERS: Final = 1000
LEAST_STRENGTH, MOST_STRENGTH = 0.3, 0.8


def best_share(good: Sequence[Pixels], patches: Single, frame: Frame) -> float:
    """Return how much the places should count against the memory: one of `SHARES`.

    Args:
        good: pictures.
        patches: (n, rows, columns, n_channels) of them, in this frame.
    """
    taught, judged = patches[0::2], list(range(1, len(good), 2))[:MOST_JUDGED]
    placed, near = places.fit(taught)
    remembered, far = memory.fit(taught, most_members=N_MEMBERS)
    blend = Blend(1.0, Scale.of(near), Scale.of(far))
    whole, hurt = [], []
    for number in judged:
        spoilt, spots = damaged(good[number], seed=number)
        cells = describe(spoilt, frame).patches
        whole.append((placed.distance(patches[number]), remembered.distance(patches[number])))
        hurt.append((placed.distance(cells), remembered.distance(cells), spots))
    gained = []
    for share in SHARES:
        one = replace(blend, share=share)
        one = one.fitted(np.stack([one.raw(*views) for views in zip(near, far, strict=True)]))
        gained.append(
            separation(
                np.array([one.smoothed(one.raw(*views)).max() for views in whole]),
                np.array(
                    [
                        _hottest(one.smoothed(one.raw(*views)), spot)
                        for *views, spots in hurt
                        for spot in spots
                    ]
                ),
            )
        )
    best = int(np.argmax(gained))
    return SHARES[best] if gained[best] >= gained[0] + WORTHWHILE else SHARES[0]


def _hottest(heat: Single, spot: BoolArray) -> float:
    return float(heat[cells_of(spot, heat.shape)].max())


def separation(good: FloatArray, damage: FloatArray) -> float:
    """Return how often a damage is hotter than the hottest place of a good picture (AUROC)."""
    above, equal = damage[:, None] > good, damage[:, None] == good
    return float(above.mean() + 0.5 * equal.mean())


def damaged(pixels: Pixels, *, seed: int) -> tuple[Pixels, list[BoolArray]]:
    """Return a copy with one damage of each kind, and where each lies, (height, width)."""
    rng = np.random.default_rng([seed, *pixels.shape])
    picture, places = pixels.astype(np.float32), []
    side = min(pixels.shape[:2])
    for kind in (_pasted, _scarred, _spotted, _wiped):
        reach = max(3, int(side * rng.uniform(0.02, 0.07)))
        strength = float(rng.uniform(LEAST_STRENGTH, MOST_STRENGTH))
        changed, where = kind(picture, rng, reach, strength)
        weight = cv2.GaussianBlur(where, (0, 0), max(0.7, reach / 10))[..., None]
        picture = picture + (changed - picture) * weight
        places.append(where > 0)
    return picture.clip(0, 255).astype(np.uint8), places


def _spot(picture: Single, rng: np.random.Generator, reach: int) -> tuple[int, int]:
    height, width = picture.shape[:2]
    return int(rng.integers(reach, width - reach)), int(rng.integers(reach, height - reach))


def _disc(picture: Single, rng: np.random.Generator, reach: int) -> tuple[Single, tuple[int, int]]:
    where = np.zeros(picture.shape[:2], np.float32)
    spot = _spot(picture, rng, reach)
    axes = (reach, max(2, int(reach * rng.uniform(0.5, 1.0))))
    cv2.ellipse(where, spot, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    return where, spot


def _pasted(
    picture: Single, rng: np.random.Generator, reach: int, strength: float
) -> tuple[Single, Single]:
    where, (x, y) = _disc(picture, rng, reach)
    other_x, other_y = _spot(picture, rng, reach)
    moved = np.roll(picture, (y - other_y, x - other_x), axis=(0, 1))
    return picture + (moved - picture) * min(1.0, strength + 0.2), where


def _scarred(
    picture: Single, rng: np.random.Generator, reach: int, strength: float
) -> tuple[Single, Single]:
    where = np.zeros(picture.shape[:2], np.float32)
    x, y = _spot(picture, rng, reach)
    angle, length = rng.uniform(0, 2 * np.pi), 3 * reach
    end = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
    cv2.line(where, (x, y), end, 1.0, max(1, reach // 8))
    return picture + np.float32(strength * rng.choice([-90.0, 90.0])), where


def _spotted(
    picture: Single, rng: np.random.Generator, reach: int, strength: float
) -> tuple[Single, Single]:
    where, _spot_of = _disc(picture, rng, reach)
    tint = rng.uniform(0.3, 1.0, 3).astype(np.float32)
    return picture + strength * 60.0 * np.float32(rng.choice([-1.0, 1.0])) * tint, where


def _wiped(
    picture: Single, rng: np.random.Generator, reach: int, strength: float
) -> tuple[Single, Single]:
    where, _spot_of = _disc(picture, rng, reach)
    return np.asarray(cv2.blur(picture, (2 * reach + 1, 2 * reach + 1))), where
