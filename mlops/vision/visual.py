"""What judges the pictures of a plan: a model of good ones, or a golden picture, and kinds of
defects once people have named some.

Both give a score that is about 1 for the worst of good pictures, so that one limit, set by what
mistakes cost (`thresholds`), fits both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np

from mlops import trees
from mlops.artifacts import ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.vision import (
    acquisition,
    anomaly,
    classes,
    defect_types,
    golden,
    golden_packing,
    inspector,
    naming,
    packing,
)
from mlops.vision.acquisition import Acquisition, Complaint
from mlops.vision.anomaly import LEAST_GOOD, AnomalyModel, Defect
from mlops.vision.backbone import Pixels, Single
from mlops.vision.boxes import Box, Found
from mlops.vision.classes import ClassModel
from mlops.vision.defect_types import LabelledPicture, NotEnoughRegions, TypeModel
from mlops.vision.golden import Golden
from mlops.vision.inspector import Inspector
from mlops.vision.lessons import UNNAMED, Lesson, shrunk
from mlops.vision.patches import Described, Frame, describe

FORM: Final = 1
# Neighbours among shown defects that name a region.
N_NEIGHBOURS: Final = 5
# Of this many good pictures a golden one is made: more change it no further.
LEAST_TEMPLATES: Final = 3
MOST_TEMPLATES: Final = 8
# Regions that are named by their looks, the hottest: each costs a look of the network.
MOST_NAMED: Final = 3
HEAT_SIDE: Final = 320  # pixels of the longer side of a heat map that is kept
FIGURES: Final = ("brightness", "sharpness", "strangeness")
HOTTEST: Final = 2.0  # times the limit is drawn as hot as it gets

Report = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Looked:
    """What a model says of one picture.

    Attributes:
        complaints: what is wrong with the taking of the picture; then nothing is said of the part.
        figures: of the picture as a whole, watched for drift (`FIGURES`).
        score: about 1 for the worst of good pictures.
        found: where it is over the limit, worst first, in pixels of the picture; an empty label
            where no shown defect is alike.
        heat: (rows, columns) grey, 128 at the limit.
    """

    complaints: tuple[Complaint, ...]
    figures: dict[str, float]
    score: float
    found: tuple[Found, ...]
    heat: Pixels


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the pictures that taught, each by what the others taught.

    Attributes:
        good: (n_good,).
        defects: (n_defects,), of the defects `slices`.
    """

    good: FloatArray
    defects: FloatArray
    slices: tuple[str, ...]


@dataclass(frozen=True)
class VisualModel:
    """Judges pictures; one of `by_good` and `by_golden` is there.

    Attributes:
        limit: by which it judges where costs say nothing.
        acquisition: how good pictures are taken.
        kinds: (n_shown,) the defect of each picture behind `by_good.known`.
        types: names what differs from the golden picture, where enough is named.
        namer: names regions by their looks, where enough of two kinds are named.
    """

    limit: float
    scores: Scores
    acquisition: Acquisition
    by_good: AnomalyModel | None = None
    by_golden: Golden | None = None
    kinds: tuple[str, ...] = ()
    types: TypeModel | None = None
    namer: ClassModel | None = None

    def judge(self, pixels: Pixels, *, limit: float | None = None) -> Looked:
        """Judge a picture of (height, width, 3), by the model's own limit if none is given."""
        held = self.limit if limit is None else limit
        # As large as those that taught: sizes, blur and the golden picture are known at that.
        pixels, scale = shrunk(pixels)
        frame = self.by_good.frame if self.by_good is not None else Frame.around(*pixels.shape[:2])
        described = describe(pixels, frame)
        complaints = self.acquisition.complaints(pixels, described.embedding)
        figures = figures_of(pixels, described.embedding, self.acquisition)
        if self.by_good is not None:
            score, found, heat = self._by_good(self.by_good, pixels, described, held)
        else:
            assert self.by_golden is not None  # one of them is there
            score, found, heat = self._by_golden(self.by_golden, pixels, held)
        own = tuple(_enlarged(one, 1.0 / scale) for one in found)
        return Looked(complaints, figures, score, own, heat)

    def _by_good(
        self, model: AnomalyModel, pixels: Pixels, described: Described, limit: float
    ) -> tuple[float, tuple[Found, ...], Pixels]:
        height, width = pixels.shape[:2]
        verdict = model.judge_described(described, height=height, width=width, threshold=limit)
        found = []
        for number, one in enumerate(verdict.regions):
            box = Box(one.left, one.top, one.left + one.width, one.top + one.height)
            if self.namer is not None and number < MOST_NAMED:
                said = naming.named(self.namer, pixels, box)
            else:
                said = self._named(model, described.patches, one.mask)
            found.append(Found(box, *said, one.area))
        return verdict.score, tuple(found), drawn_heat(verdict.heat, limit=limit)

    def _named(self, model: AnomalyModel, patches: Single, mask: Any) -> tuple[str, float]:
        """Name a region by the shown defects that its patches are most like."""
        if model.known is None or not self.kinds:
            return "", 0.0
        rows, columns = patches.shape[:2]
        cells = cv2.resize(mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA)
        inside = cells >= min(0.5, float(cells.max()))
        own = model.memory.whitened(patches[inside])
        apart = np.linalg.norm(own[:, None] - model.known.exemplars[None], axis=2)
        # The cell that is nearest to any shown defect speaks for the region.
        row = apart[int(apart.min(axis=1).argmin())]
        nearest = np.argsort(row, kind="stable")[:N_NEIGHBOURS]
        votes: dict[str, float] = {}
        for place in nearest:
            kind = self.kinds[int(model.known.sources[place])]
            votes[kind] = votes.get(kind, 0.0) + 1.0 / (1e-6 + float(row[place]))
        best = max(votes, key=lambda kind: (votes[kind], kind))
        return ("" if best == UNNAMED else best), votes[best] / sum(votes.values())

    def _by_golden(
        self, model: Golden, pixels: Pixels, limit: float
    ) -> tuple[float, tuple[Found, ...], Pixels]:
        if self.types is not None and self._trees is not None:
            verdict = self.types.judge(model, pixels, self._trees)
            comparison = verdict.comparison
            named: tuple[Found, ...] = (*verdict.found, *verdict.doubtful)
        else:
            comparison, named = golden.compare(model, pixels), ()
        regions = comparison.beyond(limit * model.limit)
        found = tuple(
            Found(region.place, *self._told(pixels, region.place, named), region.area)
            for region in regions
        )
        heat = np.zeros(pixels.shape[:2], np.float32)
        for region in comparison.regions:
            box = region.place
            place = heat[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
            np.maximum(place, region.strength / model.limit, out=place)
        return comparison.score / model.limit, found, drawn_heat(heat, limit=limit)

    def _told(self, pixels: Pixels, box: Box, named: Sequence[Found]) -> tuple[str, float]:
        label, probability = _label(box, named)
        if label or self.namer is None:
            return label, probability
        return naming.named(self.namer, pixels, box)

    @cached_property
    def _trees(self) -> trees.OnnxModel | None:
        return None if self.types is None else trees.OnnxModel(self.types.serialised)


def _enlarged(found: Found, factor: float) -> Found:
    left, top, right, bottom = (end * factor for end in found.box)
    area = round(found.area * factor**2)
    return replace(found, box=Box(left, top, right, bottom), area=area)


def _label(box: Box, named: Sequence[Found]) -> tuple[str, float]:
    x, y = box.centre
    for one in named:
        if one.box.left <= x <= one.box.right and one.box.top <= y <= one.box.bottom:
            return one.label, one.score
    return "", 0.0


def figures_of(pixels: Pixels, embedding: Single, known: Acquisition) -> dict[str, float]:
    """Return the figures of a picture as a whole, `FIGURES`."""
    grey = acquisition.grey_of(pixels)
    return {
        "brightness": round(acquisition.brightness_of(grey), 4),
        "sharpness": round(acquisition.sharpness_of(grey), 4),
        "strangeness": round(known.strangeness(embedding), 4),
    }


def drawn_heat(heat: Single, *, limit: float) -> Pixels:
    """Return (rows, columns) grey of at most `HEAT_SIDE`: 128 at the limit, 255 at twice it."""
    grey = np.clip(heat / (HOTTEST * max(limit, 1e-6)), 0.0, 1.0) * 255.0
    scale = min(1.0, HEAT_SIDE / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def by_good_pictures(lessons: Sequence[Lesson], *, report: Report) -> VisualModel:
    """Learn from good pictures, and from shown defects where there are some.

    Raises:
        TooFewGoodPictures: says how many are needed.
    """
    good, shown = taught(lessons)
    report(0.05, f"Looking at {len(good)} good pictures and {len(shown)} with defects")
    training = inspector.train(
        [one.pixels for one in good],
        defects=[Defect(one.pixels, one.mask) for one in shown],
    )
    report(0.9, "Judging each by what the others taught")
    slices = tuple(one.slice for one in shown)
    scores = Scores(training.good_scores, training.defect_scores, slices)
    learned = training.inspector
    return VisualModel(
        learned.model.threshold,
        scores,
        learned.acquisition,
        by_good=learned.model,
        kinds=slices,
        namer=naming.learned(shown),
    )


def _taken(good: Sequence[Lesson]) -> Acquisition:
    """Learn how good pictures are taken."""
    pixels = [one.pixels for one in good]
    embeddings = [describe(one, Frame.around(*one.shape[:2])).embedding for one in pixels]
    return acquisition.learn(pixels, np.stack(embeddings))


def taught(lessons: Sequence[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """Return the good pictures that are learned from, and those with defects.

    While there are few, good ones of the regression set are learned from as well.
    """
    every = [one for one in lessons if not one.is_defective]
    apart = [one for one in every if not one.is_kept]
    good = apart if len(apart) >= LEAST_GOOD else every
    return good, [one for one in lessons if one.is_defective]


def by_golden_picture(first: Lesson, lessons: Sequence[Lesson], *, report: Report) -> VisualModel:
    """Compare with a golden picture, made of it and some other good ones.

    Args:
        first: the picture that the others are brought onto.

    Raises:
        TooFewGoodPictures: how pictures are taken is learned from three.
    """
    good, shown = taught(lessons)
    templates = [first, *(one for one in good if one.image_id != first.image_id)][:MOST_TEMPLATES]
    if len(templates) < LEAST_TEMPLATES:
        raise anomaly.TooFewGoodPictures(
            f"{len(templates)} good pictures are too few beside a golden one. At least "
            f"{LEAST_TEMPLATES} are needed."
        )
    pixels = [one.pixels for one in templates]
    report(0.05, f"Making the golden picture of {len(pixels)}")
    model = golden.golden_of(pixels)
    good_scores = []
    for number, picture in enumerate(pixels):
        others = [*pixels[:number], *pixels[number + 1 :]]
        if others:
            score = golden.compare(golden.golden_of(others), picture).score
            good_scores.append(score / model.limit)
        report(0.1 + 0.4 * number / len(pixels), "Comparing good pictures with each other")
    used = {one.image_id for one in templates}
    good_scores += [
        golden.compare(model, one.pixels).score / model.limit
        for one in good
        if one.image_id not in used
    ]
    report(0.6, f"Comparing {len(shown)} pictures with defects")
    defects = [golden.compare(model, one.pixels).score / model.limit for one in shown]
    slices = tuple(one.slice for one in shown)
    return VisualModel(
        1.0, Scores(np.array(good_scores), np.array(defects), slices), _taken(templates),
        by_golden=model, types=_types(model, [*good, *shown]), namer=naming.learned(shown),
    )  # fmt: skip


def _types(model: Golden, lessons: Sequence[Lesson]) -> TypeModel | None:
    rows = [
        LabelledPicture(model, one.pixels, one.boxes, one.key)
        for one in lessons
        if one.boxes or not one.is_defective
    ]
    try:
        return defect_types.train(rows).model
    except NotEnoughRegions:
        return None


# -- at rest -----------------------------------------------------------------------------------

_PARTS: Final = ("by_good", "by_golden", "types", "namer")


def pack(model: VisualModel) -> Bundle:
    """Return a model as JSON and arrays; the parts' own bundles lie side by side."""
    parts: dict[str, Bundle] = {}
    taken = model.acquisition
    arrays: dict[str, Any] = {
        "good_scores": model.scores.good, "defect_scores": model.scores.defects,
    }  # fmt: skip
    if model.by_good is not None:
        parts["by_good"] = packing.pack(Inspector(model.by_good, taken))
    if model.by_golden is not None:
        parts["by_golden"] = golden_packing.pack(model.by_golden)
        arrays |= {
            "taken_sizes": taken.sizes, "taken_reference": taken.reference,
            "taken_embeddings": taken.embeddings,
        }  # fmt: skip
    if model.types is not None:
        parts["types"] = defect_types.pack(model.types)
    if model.namer is not None:
        parts["namer"] = classes.pack(model.namer)
    for name, bundle in parts.items():
        arrays |= {f"{name}/{key}": array for key, array in bundle.arrays.items()}
        if bundle.onnx:
            arrays[f"{name}/onnx"] = np.frombuffer(bundle.onnx, np.uint8)
    manifest = {
        "form": FORM, "limit": model.limit, "kinds": list(model.kinds),
        "slices": list(model.scores.slices),
        "taken": {
            "brightness": list(taken.brightness), "sharpness": list(taken.sharpness),
            "clipped": taken.clipped, "shift": taken.shift, "foreign": taken.foreign,
        },
        "parts": {name: dict(bundle.manifest) for name, bundle in parts.items()},
    }  # fmt: skip
    return Bundle(manifest, arrays, b"")


def unpack(bundle: Bundle) -> VisualModel:
    """Return a model ready to judge.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head = bundle.manifest
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        parts = {name: _part(bundle, name) for name in head["parts"] if name in _PARTS}
        slices = tuple(str(one) for one in head["slices"])
        scores = Scores(bundle.arrays["good_scores"], bundle.arrays["defect_scores"], slices)
        good = packing.unpack(parts["by_good"]) if "by_good" in parts else None
        model = VisualModel(
            float(head["limit"]), scores, good.acquisition if good else _unpacked_taken(bundle),
            by_good=good.model if good else None,
            by_golden=golden_packing.unpack(parts["by_golden"]) if "by_golden" in parts else None,
            kinds=tuple(str(one) for one in head["kinds"]),
            types=defect_types.unpack(parts["types"]) if "types" in parts else None,
            namer=classes.unpack(parts["namer"]) if "namer" in parts else None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error
    if not _fits(model):
        raise ArtifactRefused("The parts of the stored model do not fit each other.")
    return model


def _unpacked_taken(bundle: Bundle) -> Acquisition:
    head, arrays = bundle.manifest["taken"], bundle.arrays
    (bright, bright_room), (sharp, sharp_room) = head["brightness"], head["sharpness"]
    return Acquisition(
        arrays["taken_sizes"], (float(bright), float(bright_room)),
        (float(sharp), float(sharp_room)), float(head["clipped"]),
        arrays["taken_reference"].astype(np.float32), float(head["shift"]),
        arrays["taken_embeddings"].astype(np.float32), float(head["foreign"]),
    )  # fmt: skip


def _part(bundle: Bundle, name: str) -> Bundle:
    arrays = {
        key.removeprefix(f"{name}/"): array
        for key, array in bundle.arrays.items()
        if key.startswith(f"{name}/")
    }
    onnx = arrays.pop("onnx", np.zeros(0, np.uint8)).astype(np.uint8).tobytes()
    return Bundle(bundle.manifest["parts"][name], arrays, onnx)


def _fits(model: VisualModel) -> bool:
    good, sources = model.by_good, np.zeros(0, np.int64)
    if good is not None and good.known is not None:
        sources = good.known.sources
    return (
        (model.by_good is None) != (model.by_golden is None)
        and model.acquisition.sizes.shape == (2, 2)
        and model.acquisition.reference.ndim == 2
        and model.acquisition.embeddings.ndim == 2
        and model.limit > 0.0
        and len(model.scores.defects) == len(model.scores.slices)
        and _within(sources, len(model.kinds))
    )


def _within(numbers: IntArray, n: int) -> bool:
    return not len(numbers) or bool(numbers.min() >= 0 and numbers.max() < n)
