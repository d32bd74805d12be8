import numpy as np
import pytest

from mlops import trees
from mlops.artifacts import ArtifactRefused, Bundle, Identity, open_sealed, seal
from mlops.vision import defect_types, detection
from mlops.vision.defect_types import LabelledPicture, NotEnoughRegions
from mlops.vision.detection import Seen
from mlops.vision.golden import compare, golden_of
from mlops.vision.surroundings import NAMES, Surroundings
from tests.mlops.vision.boards import KINDS, labelled, seen_by_a_camera, template, with_fault


def pictures(seeds: range) -> list[LabelledPicture]:
    found = []
    for seed in seeds:
        board, picture, boxes = labelled(seed)
        found.append(LabelledPicture(golden_of([board]), picture, boxes, f"board {seed}"))
    return found


@pytest.fixture(scope="module")
def training() -> defect_types.Training:
    return defect_types.train(pictures(range(40)))


def figures_of(kind: str) -> dict[str, float]:
    board = template()
    picture, _labelled = with_fault(board, kind, x=150, line=1)
    golden = golden_of([board])
    comparison = compare(golden, picture)
    (row,) = Surroundings(golden, comparison).figures()
    return dict(zip(NAMES, row, strict=True))


@pytest.mark.parametrize(
    ("kind", "is_brighter", "arcs_became", "arcs_was", "touched"),
    [
        ("open", True, 2, 2, 2),  # the gap on either side, the conductor on either side
        ("short", False, 2, 2, 2),
        ("mousebite", True, 1, 1, 1),
        ("spur", False, 1, 1, 1),
        ("spurious", False, 0, 1, 0),
        ("pin-hole", True, 0, 1, 0),
    ],
)
def test_a_fault_is_known_by_what_it_touches(kind, is_brighter, arcs_became, arcs_was, touched):
    figures = figures_of(kind)

    assert figures["is_brighter"] == is_brighter
    assert (figures["arcs_became_2"], figures["arcs_was_2"]) == (arcs_became, arcs_was)
    assert figures["pieces_touched_2"] == touched


def test_an_open_parts_a_conductor_and_a_short_joins_two():
    opened, shorted = figures_of("open"), figures_of("short")

    assert opened["pieces_was_after"] == opened["pieces_was_before"] + 1
    assert shorted["pieces_became_after"] == shorted["pieces_became_before"] - 1


@pytest.mark.slow
def test_boards_never_seen_are_judged_by_type_and_place(training):
    onnx = trees.OnnxModel(training.model.serialised)
    judged = [
        Seen(training.model.judge(one.golden, one.picture, onnx).found, one.boxes)
        for one in pictures(range(100, 120))
    ]

    assert detection.agreement(judged, min_iou=0.33).f > 0.9


@pytest.mark.slow
def test_a_good_board_has_nothing_found(training):
    onnx = trees.OnnxModel(training.model.serialised)
    board = template(7)

    verdict = training.model.judge(
        golden_of([board]), seen_by_a_camera(board, seed=9, shift=(1.4, -0.7)), onnx
    )

    assert verdict.found == ()


@pytest.mark.slow
def test_the_kept_model_judges_alike(training):
    identity = Identity("acme", "vision", "board", 1)
    sealed = seal(defect_types.pack(training.model), identity=identity, key="k")

    opened = defect_types.unpack(open_sealed(sealed, identity=identity, key="k"))

    (one,) = pictures(range(200, 201))
    verdicts = [
        model.judge(one.golden, one.picture, trees.OnnxModel(model.serialised)).found
        for model in (training.model, opened)
    ]
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[0]) > 0


@pytest.mark.slow
def test_training_says_what_it_learnt_from(training):
    assert set(training.n_regions) == set(KINDS)
    assert sum(training.n_regions.values()) + training.n_unseen == 120
    assert 0 < training.model.threshold < 1


def test_too_few_boxes_are_said():
    with pytest.raises(NotEnoughRegions, match=r"at least 20 boxes.*; 6 are drawn"):
        defect_types.train(pictures(range(2)))


def test_no_pictures_are_too_few():
    with pytest.raises(NotEnoughRegions):
        defect_types.train([])


@pytest.mark.parametrize(
    "bundle",
    [
        Bundle({"form": "other"}, {}, b""),
        Bundle({"form": defect_types.FORM, "figures": list(NAMES), "labels": ["a"]}, {}, b""),
        Bundle(
            {"form": defect_types.FORM, "figures": list(NAMES), "labels": ["a"], "sharpness": 1,
             "threshold": 0.5},
            {"margins": np.zeros((2, 4))}, b"",
        ),
    ],
)  # fmt: skip
def test_nonsense_is_refused(bundle):
    with pytest.raises(ArtifactRefused):
        defect_types.unpack(bundle)
