import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mlops.benchmarks import BadFolder, vision_boards
from tests.mlops.vision.boards import labelled

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")


def silent(_line: str) -> None:
    pass


def write(folder: Path, seeds: range, *, separator: str = " ") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        board, picture, boxes = labelled(seed)
        name = f"{seed:05d}x{seed}"
        Image.fromarray(board).save(folder / f"{name}_temp.png")
        Image.fromarray(picture).convert("RGB").save(folder / f"{name}_test.png")
        lines = [separator.join([*(f"{int(v)}" for v in b.box), b.label]) for b in boxes]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_what_is_learnt_in_train_is_judged_in_test(tmp_path):
    write(tmp_path / "train", range(14))
    write(tmp_path / "test", range(60, 66), separator=",")
    (tmp_path / "test" / "00060x60.txt").unlink()  # nobody wrote down what is wrong
    said: list[str] = []

    (figures,) = vision_boards.run(tmp_path, say=said.append).values()

    assert figures["f_iou33"] > 0.7
    assert figures["n"] == 5
    assert set(figures) >= {"precision", "recall", "map_iou33", "ms_per_image", "train_s"}
    assert any("1 pairs have no file of boxes" in line for line in said)
    assert any("published" in line for line in said)


@pytest.mark.slow
def test_one_folder_is_cross_validated(tmp_path):
    write(tmp_path, range(10))
    said: list[str] = []

    (figures,) = vision_boards.run(tmp_path, say=said.append).values()

    assert figures["n"] == 10
    assert "cross-validated in 5 parts" in said[0]


def test_parts_of_cross_validation_share_no_board(tmp_path):
    pairs = vision_boards.read(write(tmp_path, range(7)))

    for train, test in vision_boards._folds(pairs):
        assert not {pair.board for pair in train} & {pair.board for pair in test}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 2 3 4", "5 entries are expected, there are 4"),
        ("1 2 a 4 open", "'1 2 a 4' are not four numbers"),
        ("30 2 3 40 open", "no inside"),
        ("1 2 nan 40 open", "no inside"),
        ("1 2 30 40 open loop", "there are 6"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, reason):
    write(tmp_path, range(1))
    (tmp_path / "00000x0.txt").write_text(f"10 10 30 30 open\n\n{line}\n")

    with pytest.raises(BadFolder, match=r"00000x0\.txt, line 3: .*A line is: left top") as raised:
        vision_boards.read(tmp_path)

    assert reason in str(raised.value)


def test_a_missing_template_is_named(tmp_path):
    write(tmp_path, range(1))
    (tmp_path / "00000x0_temp.png").unlink()

    with pytest.raises(BadFolder, match=r"has no template: add 00000x0_temp\.png"):
        vision_boards.read(tmp_path)


def test_a_picture_that_is_none_is_named(tmp_path):
    write(tmp_path, range(2))
    (tmp_path / "00001x1_test.png").write_text("<html>")

    with pytest.raises(BadFolder, match=r"00001x1_test\.png: .* Take the pair out"):
        vision_boards.run(tmp_path, say=silent)


def test_too_few_boxes_are_said(tmp_path):
    write(tmp_path, range(6))

    with pytest.raises(BadFolder, match="at least 20 boxes"):
        vision_boards.run(tmp_path, say=silent)


def test_other_forms_are_not_read(tmp_path):
    (tmp_path / "images").mkdir()

    assert not vision_boards.reads(tmp_path)
    assert vision_boards.reads(write(tmp_path / "boards", range(1)))


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "deeppcb").is_dir(), reason="no deeppcb in TAKT_DATA")
def test_real_boards_are_learnt_from_a_few_pairs(tmp_path):
    for part, n in (("train", 16), ("test", 6)):
        (tmp_path / part).mkdir()
        # Of every board some: pairs lie sorted by board.
        tested = sorted((DATA / "deeppcb" / "train").glob("*_test.jpg"))
        for path in tested[3 if part == "train" else 7 :: len(tested) // n][:n]:
            for file in path.parent.glob(f"{path.stem.removesuffix('_test')}*"):
                shutil.copy(file, tmp_path / part)

    (figures,) = vision_boards.run(tmp_path, say=silent).values()

    assert figures["f_iou33_place_only"] > 0.8
    assert figures["f_iou33"] > 0.7
