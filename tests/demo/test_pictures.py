"""Pictures of simulated parts: the same again, and every planted defect where it is said to be."""

import cv2
import numpy as np
import pytest

from config.demo import pictures
from config.demo.pictures import Flaw, Light, Planted
from mlops.vision.pictures import decode


def test_the_same_seed_is_the_same_picture_and_another_is_another_part():
    one, same, other = (pictures.take(seed=seed) for seed in (11, 11, 12))

    assert np.array_equal(one.pixels, same.pixels)
    assert not np.array_equal(one.pixels, other.pixels)
    assert one.pixels.shape == (pictures.HEIGHT, pictures.WIDTH, 3)
    assert one.planted == ()


def test_it_comes_in_through_the_door_for_pictures():
    taken = pictures.take(seed=3)

    seen = decode(taken.jpeg())

    assert (seen.form, seen.width, seen.height) == ("JPEG", pictures.WIDTH, pictures.HEIGHT)
    assert np.abs(seen.pixels.astype(int) - taken.pixels).mean() < 2


@pytest.mark.parametrize("severity", [0.1, 0.9])
@pytest.mark.parametrize("code", pictures.CODES)
def test_a_defect_changes_the_part_within_its_box_and_nowhere_else(code, severity):
    good = pictures.take(seed=21).pixels
    taken = pictures.take(seed=21, flaws=[Flaw(code, severity)])
    (box,) = taken.planted

    change = np.abs(taken.pixels.astype(int) - good).max(axis=2)

    assert (box.code, box.severity) == (code, severity)
    inside = np.zeros(change.shape, dtype=bool)
    inside[box.y : box.y + box.height, box.x : box.x + box.width] = True
    assert change[inside].max() > 8
    assert change[~_wider(inside)].max() <= 3


def _wider(inside):
    return cv2.dilate(inside.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)


def _contrast(code: str, severity: float) -> float:
    """How far the defect stands out from the neighbourhood of its box, over several parts."""
    told = []
    for seed in range(6):
        taken = pictures.take(seed=seed, flaws=[Flaw(code, severity)])
        told.append(_against_its_neighbourhood(taken.pixels, taken.planted[0]))
    return float(np.mean(told))


def _against_its_neighbourhood(pixels: pictures.Pixels, box: Planted) -> float:
    grey = pixels.astype(float).mean(axis=2)
    inside = grey[box.y : box.y + box.height, box.x : box.x + box.width]
    return float(np.ptp(inside))


@pytest.mark.parametrize("code", [pictures.SCRATCH, pictures.PIT])
def test_a_severe_defect_is_easier_to_see(code):
    assert _contrast(code, 1.0) > _contrast(code, 0.0) + 20


def test_a_bore_that_is_not_drilled_is_bright_where_others_are_dark():
    taken = pictures.take(seed=5, flaws=[Flaw(pictures.MISSING, 1.0)])
    (box,) = taken.planted
    rows, columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)

    drilled = pictures.take(seed=6).pixels

    assert taken.pixels[rows, columns].mean() > drilled[rows, columns].mean() + 50


def test_a_tired_lamp_is_darker_and_on_one_side_more():
    new = pictures.take(seed=9).pixels.astype(float)
    tired = pictures.take(seed=9, light=Light(gain=0.8, gradient=0.3)).pixels.astype(float)

    left, right = (tired[:, part].mean() / new[:, part].mean()
                   for part in (slice(0, 240), slice(240, 480)))  # fmt: skip
    assert right < left < 0.85
