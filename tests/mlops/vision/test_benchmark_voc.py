import json
import os
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command
from PIL import Image

from mlops.benchmarks import BadFolder, vision_voc_classes, voc
from mlops.vision.boxes import Box, Labelled
from tests.mlops.vision.surfaces import KINDS, surface

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")


@pytest.fixture(autouse=True)
def one_round(monkeypatch):
    """Keep the tests short: the rounds differ in their folds alone."""
    monkeypatch.setattr(vision_voc_classes, "N_ROUNDS", 1)


def silent(_line: str) -> None:
    pass


def annotation(*objects: str) -> str:
    return f"<annotation>{''.join(f'<object>{one}</object>' for one in objects)}</annotation>"


def box(left: object, top: object, right: object, bottom: object) -> str:
    return (
        f"<bndbox><xmin>{left}</xmin><ymin>{top}</ymin><xmax>{right}</xmax>"
        f"<ymax>{bottom}</ymax></bndbox>"
    )


def write(folder: Path, per_kind: int, kinds: tuple[str, ...] = KINDS[:3]) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number, kind in enumerate(kinds):
        for i in range(per_kind):
            name = f"{kind}_{i}"
            pixels = surface(kind, 1000 * number + i)
            Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
            text = annotation(f"<name>{kind}</name>{box(1, 1, 160, 160 - 10 * (i % 3))}")
            (folder / "annotations" / f"{name}.xml").write_text(text)
    return folder


@pytest.mark.slow
def test_kinds_and_places_are_measured(tmp_path):
    write(tmp_path, 6, kinds=KINDS[1:3])
    (tmp_path / "annotations" / "plain_0.xml").unlink()
    said: list[str] = []

    (figures,) = vision_voc_classes.run(tmp_path, say=said.append).values()

    assert figures["accuracy"] > 0.9
    assert figures["macro_f1"] > 0.9
    assert figures["n"] == 11
    assert set(figures) >= {"map_iou50", "ms_per_image", "train_s", "accuracy_5_each"}
    assert any("1 pictures have no annotation" in line for line in said)
    assert any("published" in line for line in said)


def test_boxes_count_from_one_and_hold_their_last_pixel(tmp_path):
    path = tmp_path / "one.xml"
    path.write_text(annotation(f"<name> dent </name>{box(1, 1, 20, 10)}"))

    assert voc.read_boxes(path) == (Labelled(Box(0, 0, 20, 10), "dent"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation", "one.xml is no XML"),
        (annotation(box(1, 1, 2, 2)), "object 1: It has no name"),
        (annotation("<name>a</name>"), "object 1: Its bndbox has no four numbers"),
        (annotation(f"<name>a</name>{box(1, 'x', 2, 2)}"), "has no four numbers"),
        (annotation(f"<name>a</name>{box(9, 1, 2, 2)}"), "box has no inside"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path, text, reason):
    path = tmp_path / "one.xml"
    path.write_text(text)

    with pytest.raises(BadFolder) as raised:
        voc.read_boxes(path)

    assert reason in str(raised.value)
    assert "one.xml" in str(raised.value)


def test_the_kind_is_the_label_that_covers_most(tmp_path):
    boxes = (Labelled(Box(0, 0, 10, 10), "small"), Labelled(Box(0, 0, 50, 50), "large"))

    assert voc.Annotated(tmp_path, boxes).label == "large"
    assert voc.Annotated(tmp_path, ()).label is None
    assert voc.Annotated(tmp_path, None).label is None


def test_one_kind_alone_is_refused(tmp_path):
    write(tmp_path, 5, kinds=("plain",))

    with pytest.raises(BadFolder, match="two kinds with at least 5 pictures"):
        vision_voc_classes.run(tmp_path, say=silent)


def test_a_picture_that_is_none_is_named(tmp_path):
    write(tmp_path, 5)
    (tmp_path / "images" / "brushed_0.png").write_text("<html>")

    with pytest.raises(BadFolder, match=r"brushed_0\.png: .* Take it out or replace it"):
        vision_voc_classes.run(tmp_path, say=silent)


def test_other_forms_are_not_read(tmp_path):
    assert not vision_voc_classes.reads(tmp_path)
    assert vision_voc_classes.reads(write(tmp_path / "voc", 1))


@pytest.mark.slow
def test_the_command_gives_what_the_pictures_suffice_for(tmp_path):
    # Six of a kind: enough to tell kinds apart, not to take one kind for the good one.
    write(tmp_path / "steel", 6, kinds=KINDS[1:3])

    call_command("benchmark", "vision", data=tmp_path / "steel", json=tmp_path / "figures.json")

    metrics = json.loads((tmp_path / "figures.json").read_text())["metrics"]
    assert metrics["steel"]["accuracy"] > 0.9
    assert list(metrics) == ["steel"]


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "neu_det").is_dir(), reason="no neu_det in TAKT_DATA")
def test_real_steel_is_told_apart_from_a_few_pictures(tmp_path):
    for part in ("images", "annotations"):
        (tmp_path / part).mkdir()
    for kind in ("crazing", "patches"):
        for path in sorted((DATA / "neu_det" / "images").glob(f"{kind}_*"))[:5]:
            shutil.copy(path, tmp_path / "images")
            shutil.copy(DATA / "neu_det" / "annotations" / f"{path.stem}.xml",
                        tmp_path / "annotations")  # fmt: skip

    (figures,) = vision_voc_classes.run(tmp_path, say=silent).values()

    assert figures["accuracy"] > 0.9
