import json
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from mlops.benchmarks import BadFolder, picture_folders, vision, vision_voc
from tests.mlops.vision import parts

pytestmark = pytest.mark.slow


def silent(_line):
    pass


def put(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def mvtec(tmp_path):
    """Write a category as MVTec AD does."""
    place = tmp_path / "plates"
    for number, pixels in enumerate(parts.good("plate", 12, seed=1)):
        put(place / "train" / "good" / f"{number:03}.png", pixels)
    for number, pixels in enumerate(parts.good("plate", 5, seed=2)):
        put(place / "test" / "good" / f"{number:03}.png", pixels)
    for number, (pixels, mask) in enumerate(parts.defective("plate", "pit", 5, seed=3)):
        put(place / "test" / "pit" / f"{number:03}.png", pixels)
        put(place / "ground_truth" / "pit" / f"{number:03}_mask.png", mask.astype(np.uint8) * 255)
    return tmp_path


def test_the_command_measures_a_category(mvtec, tmp_path):
    said, file = StringIO(), tmp_path / "figures.json"

    call_command("benchmark", "vision", data=mvtec, json=file, stdout=said)

    figures = json.loads(file.read_text())["metrics"]["plates"]
    assert figures["image_auroc"] > 0.8
    assert figures["pixel_auroc"] > 0.9
    assert figures["n_good"] == 12
    assert 0 < figures["memory_mb"] < 200
    assert 0 < figures["train_s"] < 60
    assert figures["ms_per_image"] > 0
    assert "PatchCore" in said.getvalue()


def test_labels_turned_round_turn_the_figure_round(mvtec):
    """A figure that cannot be bad cannot be good."""
    place = mvtec / "plates" / "test"
    (place / "good").rename(place / "kept")
    (place / "pit").rename(place / "good")
    (place / "kept").rename(place / "pit")

    assert vision.run(mvtec, say=silent)["plates"]["image_auroc"] < 0.3


def test_plain_folders_are_read_as_well(tmp_path):
    for number in range(9):
        put(tmp_path / "good" / f"{number}.jpg", np.full((40, 40, 3), number, np.uint8))
    put(tmp_path / "defect_scratch" / "a.jpg", np.zeros((40, 40, 3), np.uint8))
    put(tmp_path / "masks" / "a.png", np.zeros((40, 40, 3), np.uint8))

    (category,) = picture_folders.categories(tmp_path)

    assert [path.name for path in category.good] == [f"{n}.jpg" for n in (0, 1, 3, 4, 6, 7)]
    assert [(one.path.name, one.kind) for one in category.tested] == [
        ("a.jpg", "defect_scratch"), ("2.jpg", "good"), ("5.jpg", "good"), ("8.jpg", "good"),
    ]  # fmt: skip
    assert category.tested[0].mask == tmp_path / "masks" / "a.png"


def test_a_picture_that_is_none_is_named(mvtec):
    (mvtec / "plates" / "train" / "good" / "003.png").write_bytes(b"<html>")

    with pytest.raises(CommandError, match=r"003\.png: This is no picture"):
        call_command("benchmark", "vision", data=mvtec, stdout=StringIO())


def test_too_few_good_pictures_are_said(mvtec):
    for path in sorted((mvtec / "plates" / "train" / "good").iterdir())[5:]:
        path.unlink()

    with pytest.raises(BadFolder, match="5 good pictures are too few"):
        vision.run(mvtec, say=silent)


def test_a_folder_of_no_form_is_refused(tmp_path):
    with pytest.raises(BadFolder, match="none of the forms"):
        vision.run(tmp_path, say=silent)


BOX = (
    "<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>{to}</xmax><ymax>9</ymax></bndbox></object>"
)


@pytest.fixture
def voc(tmp_path):
    for product in ("cast", "brushed"):
        for number, pixels in enumerate(parts.good(product, 15, seed=4)):
            name = f"{product}_{number}"
            put(tmp_path / "images" / f"{name}.png", pixels)
            annotation = tmp_path / "annotations" / f"{name}.xml"
            annotation.parent.mkdir(exist_ok=True)
            annotation.write_text(f"<annotation>{BOX.format(name=product, to=90)}</annotation>")
    return tmp_path


def test_each_class_is_once_the_good_one(voc):
    figures = vision_voc.run(voc, say=silent)

    assert set(figures) == {"one_class_brushed", "one_class_cast", "one_class_mean"}
    assert figures["one_class_mean"]["image_auroc"] > 0.95


def test_a_picture_has_the_class_of_its_largest_boxes(voc):
    boxes = BOX.format(name="rust", to=20) * 2 + BOX.format(name="cast", to=90)
    (voc / "annotations" / "brushed_0.xml").write_text(f"<annotation>{boxes}</annotation>")
    (voc / "annotations" / "brushed_1.xml").unlink()
    said: list[str] = []

    classes = vision_voc.by_class(voc, said.append)

    assert {name: len(paths) for name, paths in classes.items()} == {"brushed": 13, "cast": 16}
    assert said == ["1 pictures without an annotated object are left out"]


@pytest.mark.parametrize("text", ["<annotation>", BOX.replace("9", "x").format(name="a", to=3)])
def test_a_broken_annotation_is_named(voc, text):
    (voc / "annotations" / "cast_3.xml").write_text(text)

    with pytest.raises(BadFolder, match=r"cast_3\.xml"):
        vision_voc.run(voc, say=silent)
