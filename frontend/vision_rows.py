"""Pictures of parts as pages show them: what was said of each, in words, with its boxes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from frontend.formats import DASH, figure, moment
from mlops import selectors as mlops_selectors
from mlops.models import ImageLabel, ImageVerdict, InspectionImage

Label = InspectionImage.Label
State = ImageVerdict.State
LABEL_KIND = {Label.GOOD: "good", Label.DEFECT: "bad", Label.UNUSABLE: "unclear"}
VERDICT_KIND = {"pass": "good", "fail": "bad"}  # nosec B105 - a verdict
VERDICT_WORD = {"pass": "Good", "fail": "Defective"}  # nosec B105 - a verdict
NOT_SEEN = "Not judged yet"


@dataclass(frozen=True)
class Box:
    """A marked place in pixels of the picture."""

    x: int
    y: int
    width: int
    height: int
    words: str

    @property
    def word_y(self) -> int:
        return max(self.y - 4, 12)


@dataclass(frozen=True)
class PictureRow:
    """One picture in a list.

    Attributes:
        kind: good, bad or unclear, of what the version in service said.
        heat_url: empty where there is nothing to show.
    """

    url: str
    thumbnail_url: str
    heat_url: str
    width: int
    height: int
    name: str
    when: str
    kind: str
    word: str
    label_kind: str
    label_word: str
    is_kept: bool
    is_gone: bool


def picture_rows(images: Sequence[InspectionImage], *, at: datetime) -> list[PictureRow]:
    """Return what a list shows of some pictures; one query."""
    said = mlops_selectors.newest_verdicts(image.pk for image in images)
    return [picture_row(image, said.get(image.pk), at=at) for image in images]


def picture_row(image: InspectionImage, said: ImageVerdict | None, *, at: datetime) -> PictureRow:
    is_gone = not image.object_key
    is_rejected = said is not None and said.verdict == "fail" and not is_gone
    return PictureRow(
        url=reverse("frontend:quality-vision-picture", args=[image.pk]),
        thumbnail_url="" if is_gone else _file_url(image, "thumbnail"),
        heat_url=heat_url(image, said) if is_rejected and said else "",
        width=image.width, height=image.height,
        name=image.name or f"Picture of {moment(image.taken_at, at)}",
        when=moment(image.taken_at, at),
        kind=verdict_kind(said), word=verdict_word(said),
        label_kind=LABEL_KIND.get(Label(image.label), ""),
        label_word=image.get_label_display() if image.label else "",
        is_kept=image.is_kept, is_gone=is_gone,
    )  # fmt: skip


def _file_url(image: InspectionImage, what: str) -> str:
    return reverse(f"frontend:quality-vision-{what}", args=[image.pk])


def heat_url(image: InspectionImage, said: ImageVerdict) -> str:
    """Return where the heat of a verdict lies; the address changes with the verdict."""
    return f"{_file_url(image, 'heat')}?of={said.pk}"


def verdict_kind(said: ImageVerdict | None) -> str:
    return VERDICT_KIND.get(said.verdict, "unclear") if said else "unclear"


def verdict_word(said: ImageVerdict | None) -> str:
    if said is None or said.state == State.NO_MODEL:
        return NOT_SEEN
    if said.state == State.OK:
        return VERDICT_WORD.get(said.verdict, "Not clear")
    return said.get_state_display()


def score_words(said: ImageVerdict) -> str:
    """Say how far a score lies from its limit: 1.4 times the limit."""
    if said.score is None or said.limit is None:
        return ""
    if said.limit <= 0:
        return f"Score {figure(said.score)}, limit {figure(said.limit)}"
    return f"{figure(round(said.score / said.limit, 2))} times the limit"


def model_boxes(said: ImageVerdict | None, names: dict[str, str]) -> list[Box]:
    """Return where the model sees something; `names` are those of the kinds of defects."""
    if said is None:
        return []
    return [_model_box(one, names) for one in said.regions]


def _model_box(one: dict[str, Any], names: dict[str, str]) -> Box:
    code = str(one.get("label") or "")
    place = (int(one["x"]), int(one["y"]), int(one["width"]), int(one["height"]))
    return Box(*place, names.get(code, code) or "Unlike the good ones")


def people_boxes(label: ImageLabel | None) -> list[Box]:
    if label is None:
        return []
    return [
        Box(one.x, one.y, one.width, one.height, one.defect_type.name)
        for one in label.regions.all()
    ]


@dataclass(frozen=True)
class LabelRow:
    kind: str
    word: str
    who: str
    when: str
    note: str
    marked: str


def label_rows(labels: Iterable[ImageLabel], *, at: datetime) -> list[LabelRow]:
    """Return who labelled what, newest first."""
    return [_label_row(one, at=at) for one in sorted_labels(labels)]


def sorted_labels(labels: Iterable[ImageLabel]) -> list[ImageLabel]:
    return sorted(labels, key=lambda one: (one.at, one.pk), reverse=True)


def _label_row(one: ImageLabel, *, at: datetime) -> LabelRow:
    marked: dict[str, int] = {}
    for region in one.regions.all():
        name = region.defect_type.name
        marked[name] = marked.get(name, 0) + 1
    return LabelRow(
        kind=LABEL_KIND.get(Label(one.label), "unclear"),
        word=one.get_label_display() if one.label else "Taken back",
        who=str(one.by) if one.by else "A program",
        when=moment(one.at, at),
        note=one.note,
        marked=", ".join(f"{name} ({n})" if n > 1 else name for name, n in marked.items()),
    )


@dataclass(frozen=True)
class KeptRow:
    """One picture of the regression set, and what versions said of it."""

    picture: PictureRow
    image_id: str
    expected_kind: str
    expected: str
    serving: str
    serving_kind: str
    newest: str
    newest_kind: str
    change: str


def said_beside(expected: str, said: ImageVerdict | None) -> tuple[str, str]:
    """Return what a version said as a word and whether it is what people say (good) or not."""
    if said is None or said.state != State.OK:
        return (DASH if said is None else said.get_state_display()), "unclear"
    is_right = (said.verdict == "fail") == (expected == Label.DEFECT)
    return VERDICT_WORD.get(said.verdict, DASH), "good" if is_right else "bad"
