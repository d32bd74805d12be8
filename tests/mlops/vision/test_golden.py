import numpy as np
import pytest

from mlops.vision import golden
from mlops.vision.alignment import align
from mlops.vision.boxes import Box, Found, merged, overlaps
from tests.mlops.vision.boards import KINDS, SIDE, seen_by_a_camera, template, with_fault


def strongest_hits(comparison: golden.Comparison, box: Box) -> bool:
    x, y = comparison.regions[0].place.centre
    return box.left < x < box.right and box.top < y < box.bottom


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_the_strongest_difference(kind):
    board = template()
    picture, labelled = with_fault(board, kind, x=150, line=1)

    seen = golden.compare(golden.golden_of([board]), seen_by_a_camera(picture, seed=1))

    assert seen.score > golden.USUAL_LIMIT
    assert strongest_hits(seen, labelled.box)
    assert len(seen.beyond(golden.USUAL_LIMIT)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"shift": (7.5, -5.0)}, {"turn_degrees": 2.0}, {"gain": 0.8}, {"noise": 6.0},
        {"turn_degrees": -1.5, "shift": (4, 3), "gain": 1.15},
    ],
)  # fmt: skip
def test_a_good_board_shows_nothing_however_it_lies(change):
    board = template()

    seen = golden.compare(golden.golden_of([board]), seen_by_a_camera(board, seed=2, **change))

    assert seen.beyond(golden.USUAL_LIMIT) == ()
    assert seen.aligned.correlation > 0.95


@pytest.mark.parametrize("degrees", [25, 90, 200, 290])
def test_a_board_that_lies_turned_is_turned_back(degrees):
    board = template()
    picture, labelled = with_fault(board, "spurious", x=160, line=2)

    seen = golden.compare(
        golden.golden_of([board]), seen_by_a_camera(picture, seed=3, turn_degrees=degrees)
    )

    # What the camera did not see of the corners is left out: the fault alone remains.
    assert [
        overlaps([region.box], [labelled.box])[0, 0] > 0.2
        for region in seen.beyond(golden.USUAL_LIMIT)
    ] == [True]


def test_the_place_of_a_region_is_in_the_pictures_own_pixels():
    board = template()
    picture, labelled = with_fault(board, "pin-hole", x=150, line=1)

    seen = golden.compare(
        golden.golden_of([board]), seen_by_a_camera(picture, seed=4, shift=(9, 6))
    )

    region = seen.regions[0]
    assert np.allclose(region.box.centre, labelled.box.centre, atol=1.5)
    assert np.allclose(region.place.centre, np.add(labelled.box.centre, (9, 6)), atol=1.5)


def test_colours_alone_make_a_difference():
    board = np.repeat(template()[..., None], 3, axis=2)
    board[..., 2] //= 2
    picture = board.copy()
    # Of the same brightness: more green is made up for by less red.
    picture[60:75, 100:115] = (210, 240, 115)

    seen = golden.compare(golden.golden_of([board]), picture)

    assert strongest_hits(seen, Box(95, 55, 120, 80))


def test_several_good_boards_teach_what_may_differ():
    boards = []
    for seed in range(5):
        board = template()
        board[15:30, 120 : 130 + 6 * seed] = 120  # a stamp of varying length
        boards.append(seen_by_a_camera(board, seed, shift=(seed - 2, 0)))
    one, several = golden.golden_of(boards[:1]), golden.golden_of(boards)
    middle = template()
    middle[15:30, 120:141] = 120

    assert golden.compare(one, middle).score > golden.USUAL_LIMIT
    assert golden.compare(several, middle).score < several.limit
    broken, _box = with_fault(middle, "open", x=200, line=3)
    assert golden.compare(several, broken).score > several.limit


def test_a_large_picture_is_compared_smaller_and_found_at_its_own_size():
    scale = 6
    board = np.kron(template(), np.ones((scale, scale), dtype=np.uint8))
    picture = board.copy()
    picture[700:790, 900:990] = 30

    seen = golden.compare(golden.golden_of([board]), picture)

    assert max(seen.aligned.pixels.shape) == golden.MAX_SIDE
    assert overlaps([seen.regions[0].place], [Box(900, 700, 990, 790)])[0, 0] > 0.7


def test_a_picture_of_something_else_gives_a_bounded_answer():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 255, (200, 260), dtype=np.uint8)

    seen = golden.compare(golden.golden_of([template()]), noise)

    assert seen.aligned.pixels.shape == (SIDE, SIDE)
    assert len(seen.regions) <= golden.MAX_REGIONS
    assert seen.aligned.correlation < 0.5


@pytest.mark.parametrize("level", [0, 255])
def test_a_blank_template_does_not_break_alignment(level):
    blank = np.full((64, 64), level, dtype=np.uint8)

    aligned = align(blank, blank)

    assert np.array_equal(aligned.pixels, blank)


def test_without_a_good_picture_there_is_no_template():
    with pytest.raises(golden.NoGoodPicture, match="at least one"):
        golden.golden_of([])


def test_overlap_of_boxes_by_hand():
    # 10 x 10 and 10 x 10, shifted by half: 50 shared, 150 in all.
    assert overlaps([Box(0, 0, 10, 10)], [Box(5, 0, 15, 10)])[0, 0] == pytest.approx(1 / 3)
    assert overlaps([Box(0, 0, 10, 10)], [Box(10, 0, 20, 10)])[0, 0] == 0
    assert overlaps([], [Box(0, 0, 1, 1)]).shape == (0, 1)


def test_pieces_of_one_label_are_joined_and_others_not():
    one = Found(Box(0, 0, 10, 10), "open", 0.9, 40)
    piece = Found(Box(6, 0, 16, 10), "open", 0.5, 10)
    other = Found(Box(0, 0, 10, 10), "short", 0.4, 40)

    joined = merged([piece, other, one], share=0.3)

    assert joined == [Found(Box(0, 0, 16, 10), "open", 0.9, 50), other]
