import math

import pytest

from mlops.vision.boxes import Box, Found, Labelled
from mlops.vision.detection import (
    Seen,
    agreement,
    average_precision,
    best_threshold,
    hits,
    mean_average_precision,
)

HERE, THERE = Box(0, 0, 10, 10), Box(50, 50, 60, 60)


def found(box: Box, label: str, score: float) -> Found:
    return Found(box, label, score, 100)


def test_a_box_is_matched_once_and_by_the_surest():
    seen = Seen([found(HERE, "a", 0.4), found(HERE, "a", 0.9)], [Labelled(HERE, "a")])

    assert hits(seen, min_iou=0.33).tolist() == [False, True]


def test_place_or_label_alone_is_no_hit():
    seen = Seen(
        [found(HERE, "b", 0.9), found(Box(8, 0, 18, 10), "a", 0.8)], [Labelled(HERE, "a")]
    )  # the second shares 20 of 180

    assert not hits(seen, min_iou=0.33).any()
    assert hits(seen.unlabelled(), min_iou=0.33).tolist() == [True, False]


def test_f_by_hand():
    pictures = [
        Seen([found(HERE, "a", 0.9), found(THERE, "a", 0.8)], [Labelled(HERE, "a")]),
        Seen([], [Labelled(HERE, "a"), Labelled(THERE, "b")]),
    ]

    both = agreement(pictures, min_iou=0.33)

    assert (both.n_right, both.n_found, both.n_true) == (1, 2, 3)
    assert both.f == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert agreement(pictures, min_iou=0.33, label="b").f == 0.0


def test_average_precision_by_hand():
    # In the order of scores: right, wrong, right; one of three is never found. Precision at the
    # hits is 1 and 2/3, each for a third of recall.
    seen = Seen(
        [found(HERE, "a", 0.9), found(Box(90, 90, 99, 99), "a", 0.8), found(THERE, "a", 0.7)],
        [Labelled(HERE, "a"), Labelled(THERE, "a"), Labelled(Box(20, 20, 30, 30), "a")],
    )

    assert average_precision([seen], min_iou=0.5, label="a") == pytest.approx(5 / 9)
    assert math.isnan(average_precision([seen], min_iou=0.5, label="b"))
    assert math.isnan(mean_average_precision([Seen([], [])], min_iou=0.5))


def test_the_threshold_parts_what_is_right_from_what_is_not():
    seen = Seen(
        [found(HERE, "a", 0.9), found(THERE, "a", 0.6), found(Box(90, 90, 99, 99), "a", 0.4)],
        [Labelled(HERE, "a"), Labelled(THERE, "a")],
    )

    assert best_threshold([seen], min_iou=0.33) == pytest.approx(0.5)
