"""The page of one picture: what was said of it, by models and by people, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from frontend.formats import figure, moment
from frontend.vision_rows import (
    Box,
    LabelRow,
    State,
    heat_url,
    label_rows,
    model_boxes,
    people_boxes,
    score_words,
    sorted_labels,
    verdict_kind,
    verdict_word,
)
from mlops import selectors as mlops_selectors
from mlops.models import ImageVerdict, InspectionImage
from production.models import DefectType

N_KEYS = 9  # kinds of defects that a digit chooses


@dataclass(frozen=True)
class DefectChoice:
    code: str
    name: str
    key: str  # the digit that chooses it; empty beyond the ninth


@dataclass(frozen=True)
class PicturePage:
    """All that the page shows of a picture.

    Attributes:
        explained: the state in words where nothing was judged, else how the score lies.
        complaints: what was wrong with the taking.
        missed_may: it was let pass, so that a defect may have been missed.
        alarm_may: it was rejected, which may have been wrong.
    """

    name: str
    when: str
    content_url: str
    heat_url: str
    kind: str
    word: str
    explained: str
    facts: tuple[tuple[str, str, str], ...]  # label, words, address
    complaints: tuple[str, ...]
    model_boxes: tuple[Box, ...]
    people_boxes: tuple[Box, ...]
    labels: tuple[LabelRow, ...]
    defects: tuple[DefectChoice, ...]
    missed_may: bool
    alarm_may: bool
    is_gone: bool
    version_words: str


def picture_page(
    image: InspectionImage, defects: Sequence[DefectType], *, at: datetime
) -> PicturePage:
    """Compose the page of a picture that `selectors.inspection_image` has read."""
    said = mlops_selectors.newest_verdict(image)
    names = {defect.code: defect.name for defect in defects}
    labels = list(image.labels.all())
    newest = sorted_labels(labels)[0] if labels else None
    is_judged = said is not None and said.state == State.OK
    return PicturePage(
        name=image.name or f"Picture of {moment(image.taken_at, at)}",
        when=moment(image.taken_at, at),
        content_url=reverse("frontend:quality-vision-content", args=[image.pk]),
        heat_url=heat_url(image, said) if said and said.heat else "",
        kind=verdict_kind(said),
        word=verdict_word(said),
        explained=_explained(said),
        facts=_facts(image, at=at),
        complaints=tuple(str(one.get("sentence", "")) for one in said.acquisition) if said else (),
        model_boxes=tuple(model_boxes(said, names)),
        people_boxes=tuple(people_boxes(newest)),
        labels=tuple(label_rows(labels, at=at)),
        defects=tuple(
            DefectChoice(defect.code, defect.name, str(place) if place <= N_KEYS else "")
            for place, defect in enumerate(defects, 1)
        ),
        missed_may=is_judged and said is not None and said.verdict == "pass",
        alarm_may=is_judged and said is not None and said.verdict == "fail",
        is_gone=not image.object_key,
        version_words=_version_words(said, at=at),
    )


def _explained(said: ImageVerdict | None) -> str:
    if said is None:
        return "No version has judged it."
    if said.state != State.OK:
        return said.message
    n = len(said.regions)
    places = f", {n} place{'' if n == 1 else 's'} marked" if n else ""
    return f"{score_words(said)}{places}"


def _version_words(said: ImageVerdict | None, *, at: datetime) -> str:
    if said is None or said.version is None:
        return ""
    took = f" in {figure(round(said.took_ms))} ms" if said.took_ms is not None else ""
    return f"By version {said.version.version}, {moment(said.made_at, at)}{took}"


def _facts(image: InspectionImage, *, at: datetime) -> tuple[tuple[str, str, str], ...]:
    found = [
        ("Taken", moment(image.taken_at, at), ""),
        ("Came", f"{image.get_source_display()}, {moment(image.received_at, at)}", ""),
        ("Size", f"{image.width} by {image.height} pixels", ""),
    ]
    looked = image.inspection
    if looked is None:
        return tuple(found)
    if looked.lot is not None:
        found.append(("Lot", looked.lot.code, reverse("frontend:lot", args=[looked.lot.pk])))
    if looked.piece:
        found.append(("Piece", looked.piece, ""))
    if looked.machine is not None:
        url = reverse("frontend:machine", args=[looked.machine.pk])
        found.append(("Machine", looked.machine.name, url))
    url = reverse("frontend:inspection", args=[looked.pk])
    found.append(("Inspection", f"No. {looked.number}", url))
    return tuple(found)
