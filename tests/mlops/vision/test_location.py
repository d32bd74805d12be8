import numpy as np
import pytest

from mlops.artifacts import ArtifactRefused, Bundle, Identity, open_sealed, seal
from mlops.vision import detection, location
from mlops.vision.boxes import Box, Labelled, overlaps
from mlops.vision.detection import Seen
from mlops.vision.location import Example, NotEnoughBoxes
from tests.mlops.vision.surfaces import SIDE, marked, surface


def example(seed: int) -> Example:
    pixels, labelled = marked(seed)
    return Example(location.cells_of(location.seen(pixels)), (SIDE, SIDE), [labelled])


@pytest.fixture(scope="module")
def training() -> location.Training:
    plain = Example(location.cells_of(location.seen(surface("plain", 99))), (SIDE, SIDE), [])
    return location.train([plain, *(example(seed) for seed in range(16))])


@pytest.mark.slow
def test_marks_are_found_where_they_are(training):
    judged = []
    for seed in range(100, 108):
        pixels, labelled = marked(seed)
        found = training.model.judge(location.seen(pixels), (SIDE, SIDE))
        judged.append(Seen(found, [labelled]))

    assert detection.agreement(judged, min_iou=0.5).f > 0.8


@pytest.mark.slow
def test_a_plain_surface_has_nothing(training):
    assert training.model.judge(location.seen(surface("plain", 200)), (SIDE, SIDE)) == []


@pytest.mark.slow
def test_places_are_in_the_pictures_own_pixels(training):
    pixels, labelled = marked(300)
    tall = np.vstack([pixels, surface("plain", 301)])

    (found, *_rest) = training.model.judge(location.seen(tall), (2 * SIDE, SIDE))

    assert overlaps([found.box], [labelled.box])[0, 0] > 0.4


@pytest.mark.slow
def test_the_kept_model_judges_alike(training):
    identity = Identity("acme", "vision", "surface", 1)
    sealed = seal(location.pack(training.model), identity=identity, key="k")
    opened = location.unpack(open_sealed(sealed, identity=identity, key="k"))
    features = location.seen(marked(50)[0])

    judged = [model.judge(features, (SIDE, SIDE)) for model in (training.model, opened)]

    assert [(one.label, one.area) for one in judged[0]] == [
        (one.label, one.area) for one in judged[1]
    ]
    assert len(judged[0]) > 0


def test_a_brushed_mask_goes_before_its_box():
    mask = np.zeros((64, 64), dtype=np.bool_)
    mask[:, :32] = True
    cells = np.zeros((4, 4, location.N_FIGURES), dtype=np.float32)
    box = Labelled(Box(0, 0, 64, 32), "a")

    codes = Example(cells, (64, 64), [box], [mask]).codes(["a"])

    assert codes.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_a_smaller_box_lies_on_top():
    cells = np.zeros((2, 2, location.N_FIGURES), dtype=np.float32)
    boxes = [Labelled(Box(0, 0, 16, 16), "b"), Labelled(Box(0, 0, 32, 32), "a")]

    assert Example(cells, (32, 32), boxes).codes(["a", "b"]).tolist() == [[2, 1], [1, 1]]


def test_a_box_lies_around_what_is_hot():
    heat = np.zeros((10, 10))
    heat[2:6, 4:8] = 0.9

    (found,) = location.boxes_of(heat, "a", (160, 320))

    assert overlaps([found.box], [Box(4 * 32, 2 * 16, 8 * 32, 6 * 16)])[0, 0] > 0.7
    assert 0.7 < found.score <= 0.9
    assert location.boxes_of(np.zeros((10, 10)), "a", (160, 160)) == []


def test_few_boxes_are_said():
    cells = np.zeros((2, 2, location.N_FIGURES), dtype=np.float32)
    one = Example(cells, (32, 32), [Labelled(Box(0, 0, 16, 16), "dent")])

    with pytest.raises(NotEnoughBoxes, match=r"too few are drawn: dent \(2\)"):
        location.train([one, one])
    with pytest.raises(NotEnoughBoxes, match="too few are drawn: 0"):
        location.train([Example(cells, (32, 32), [])])


@pytest.mark.parametrize(
    "bundle",
    [
        Bundle({"form": "other"}, {}, b""),
        Bundle({"form": location.FORM, "labels": ["a"]}, {}, b""),
        Bundle(
            {"form": location.FORM, "labels": ["a"], "threshold": 0.5},
            {name: np.zeros(3) for name in ("middle", "scale", "weights", "offsets")}, b"",
        ),
    ],
)  # fmt: skip
def test_nonsense_is_refused(bundle):
    with pytest.raises(ArtifactRefused):
        location.unpack(bundle)
