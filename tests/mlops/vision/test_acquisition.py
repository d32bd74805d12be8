import cv2
import numpy as np
import pytest

from mlops.vision import acquisition
from mlops.vision.patches import Frame, describe
from tests.mlops.vision import parts

pytestmark = pytest.mark.slow


FRAME = Frame(320, 320)


@pytest.fixture(scope="module")
def learnt():
    """Learn each product once, from 14 good pictures."""
    made = {}
    for product in parts.PRODUCTS:
        good = parts.good(product, 14, seed=1)
        embeddings = np.stack([describe(pixels, FRAME).embedding for pixels in good])
        made[product] = acquisition.learn(good, embeddings)
    return made


@pytest.fixture
def complaints(learnt):
    def of(product, pixels):
        return learnt[product].complaints(pixels, describe(pixels, FRAME).embedding)

    return of


@pytest.fixture
def codes(complaints):
    def of(product, pixels):
        return {one.code for one in complaints(product, pixels)}

    return of


@pytest.mark.parametrize("product", list(parts.PRODUCTS))
def test_good_pictures_are_not_complained_of(codes, product):
    found = [codes(product, pixels) for pixels in parts.good(product, 15, seed=21)]

    assert sum(map(bool, found)) <= 1


@pytest.mark.parametrize("product", list(parts.PRODUCTS))
def test_a_defect_in_the_part_is_no_fault_of_the_picture(codes, product):
    bad = [
        pixels for kind in parts.DEFECTS
        for pixels, _mask in parts.defective(product, kind, 5, seed=22)
    ]  # fmt: skip
    found = [codes(product, pixels) for pixels in bad]

    assert sum(map(bool, found)) <= 1


def darker(pixels):
    return (pixels * 0.45).astype(np.uint8)


def brighter(pixels):
    return (pixels * 1.5).clip(0, 255).astype(np.uint8)


def blurred(pixels):
    return cv2.GaussianBlur(pixels, (0, 0), 2.0)


def burnt(pixels):
    return np.where(pixels > 105, 255, pixels).astype(np.uint8)


def smaller(pixels):
    return np.ascontiguousarray(pixels[:150])


@pytest.mark.parametrize("product", list(parts.PRODUCTS))
@pytest.mark.parametrize(
    ("spoilt", "code"),
    [(darker, "too_dark"), (brighter, "too_bright"), (blurred, "blurred"), (burnt, "clipped"),
     (smaller, "wrong_size")],
)  # fmt: skip
def test_what_is_wrong_is_named(codes, product, spoilt, code):
    pixels = parts.good(product, 1, seed=23)[0]

    assert code in codes(product, spoilt(pixels))


def test_a_moved_camera_is_named(codes):
    pixels = parts.good("plate", 1, seed=24)[0]
    there = np.array([[1.0, 0.0, 22.0], [0.0, 1.0, -14.0]])

    moved = cv2.warpAffine(pixels, there, pixels.shape[1::-1], borderMode=cv2.BORDER_REFLECT)

    assert "moved" in codes("plate", moved)


@pytest.mark.parametrize("product", ["brushed", "cast"])
def test_a_texture_cannot_be_displaced(learnt, product):
    assert learnt[product].shift == 0.0


def test_looking_changes_nothing(learnt, complaints):
    before = learnt["plate"].reference.copy()

    complaints("plate", parts.good("plate", 1, seed=24)[0])

    np.testing.assert_array_equal(learnt["plate"].reference, before)


@pytest.mark.parametrize(("taught_as", "shown"), [("plate", "cast"), ("brushed", "plate")])
def test_another_product_is_named(codes, taught_as, shown):
    assert "wrong_product" in codes(taught_as, parts.good(shown, 1, seed=25)[0])


def test_a_complaint_says_what_was_measured(complaints):
    (found,) = (
        one for one in complaints("plate", darker(parts.good("plate", 1, seed=26)[0]))
        if one.code == "too_dark"
    )  # fmt: skip

    assert found.value < found.limit
    assert "grey value" in found.sentence
