"""What kind of picture it is, once people have named some: five of each kind are a start.

A picture is described by how strongly the network's channels answer on average (strides 16 and
32). Linear discriminants with a shrunken covariance part the kinds; how sure they are is set by
pictures they had not seen. Pictures are also learnt mirrored and turned, where that helps on
pictures not seen: it does with surfaces, it does not where the way up is what matters.

A picture unlike every one that was named is called unknown, whatever the discriminants say.

Sources: Ledoit and Wolf, J. Multivariate Analysis 88(2), 2004 (shrinkage); Guo and others, ICML
2017 (how sure); Sun and others, ICML 2022 (the nearest neighbour tells what is unknown); Zhou
and others, CVPR 2016 (where in the picture a class is seen).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mlops.artifacts import Array, ArtifactRefused, Bundle
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.vision import backbone
from mlops.vision.alignment import Pixels
from mlops.vision.backbone import Features

FORM: Final = "picture-classes-1"
STRIDES: Final = (16, 32)
N_FIGURES: Final = sum(backbone.CHANNELS[stride] for stride in STRIDES)
MIN_OF_A_CLASS: Final = 3
N_FOLDS: Final = 5
# Pictures kept to tell what is unknown; of more, every so-manieth.
MAX_KEPT: Final = 1000
# Of the pictures named this share may be called unknown; of fewer than 50, none.
UNKNOWN_SHARE: Final = 0.02
# Of a class's evidence, the part of the picture with cells above this share of the highest.
SPEAKS: Final = 0.5
LEAST_WITHIN: Final = 0.1
NEVER: Final = 1e6  # taken off the score of a class without a picture


class NotEnoughLabels(ValueError):
    """Too few pictures are named to learn classes from; says which."""


@dataclass(frozen=True, slots=True)
class Discriminants:
    """Linear discriminants of standardised figures.

    Attributes:
        middle, scale: (n_figures,)
        weights: (n_classes, n_figures)
        offsets: (n_classes,)
    """

    middle: FloatArray
    scale: FloatArray
    weights: FloatArray
    offsets: FloatArray

    def standardised(self, figures: FloatArray) -> FloatArray:
        return (figures - self.middle) / self.scale

    def scores(self, figures: FloatArray) -> FloatArray:
        """Return (n, n_classes) log-likelihoods but for what all classes share."""
        return self.standardised(figures) @ self.weights.T + self.offsets


def discriminants(figures: FloatArray, codes: IntArray, *, n_classes: int) -> Discriminants:
    """Fit discriminants to (n, n_figures) of classes 0, 1, ..., all held to be as frequent.

    A class that none of the figures is of is never the likeliest.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage  # brings pandas: seconds, in any process

    middle, total = figures.mean(axis=0), figures.std(axis=0)
    n_of = np.bincount(codes, minlength=n_classes)
    centres = np.tile(middle, (n_classes, 1))
    for code in np.flatnonzero(n_of):
        centres[code] = figures[codes == code].mean(axis=0)
    within = figures - centres[codes]
    # Measured by what varies within classes: what parts them may be small. Few pictures may
    # agree by chance, so it is at least a tenth of what varies at all.
    scale = np.maximum(within.std(axis=0), LEAST_WITHIN * total) + 1e-6
    within, centres = within / scale, (centres - middle) / scale
    shrinkage = float(ledoit_wolf_shrinkage(within, assume_centered=True))
    covariance = within.T @ within / max(1, len(within) - len(centres))
    even = max(1e-6, float(np.trace(covariance)) / len(covariance))
    covariance = (1 - shrinkage) * covariance + shrinkage * even * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, centres.T).T
    offsets = -0.5 * np.sum(weights * centres, axis=1) - np.where(n_of, 0.0, NEVER)
    return Discriminants(middle, scale, weights, offsets)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a picture shows.

    Attributes:
        classes: (label, probability), the likeliest first; they sum up to 1.
        is_known: it resembles pictures that were named. Otherwise no class should be believed.
        likeness: to the most alike of them, -1 to 1.
        evidence: (rows, columns) how much each square of 16 pixels speaks for the likeliest.
        speaks: rows and columns (top, bottom, left, right) of the part that speaks most.
    """

    classes: tuple[tuple[str, float], ...]
    is_known: bool
    likeness: float
    evidence: FloatArray
    speaks: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ClassModel:
    """Names pictures.

    Attributes:
        sharpness: what scores are multiplied with to be as sure as they are right.
        doubt: probability that is dealt out evenly, whatever the scores: after n pictures the
            next is still unlike them once in n + 2 (Laplace's rule of succession).
        kept: (n, n_figures) directions of the pictures named, to tell what is unknown.
        least_likeness: below it a picture is unknown.
    """

    labels: tuple[str, ...]
    parts: Discriminants
    sharpness: float
    doubt: float
    kept: FloatArray
    least_likeness: float

    def judge(self, features: Features) -> Judgement:
        """Say what a picture shows, from what the network made of it."""
        figures = described(features)[None]
        probability = probabilities(self.parts.scores(figures), self.sharpness, self.doubt)[0]
        order = np.argsort(-probability, kind="stable")
        likeness = float(_likeness(self.parts.standardised(figures), self.kept)[0])
        evidence = self._evidence(features, int(order[0]))
        return Judgement(
            tuple((self.labels[code], float(probability[code])) for code in order),
            likeness >= self.least_likeness, likeness, evidence, _speaks(evidence),
        )  # fmt: skip

    def _evidence(self, features: Features, code: int) -> FloatArray:
        """Return what each cell adds to the class's score above the mean of all classes."""
        weights = (self.parts.weights[code] - self.parts.weights.mean(axis=0)) / self.parts.scale
        start = 0
        rows, columns = features.maps[STRIDES[0]].shape[:2]
        evidence = np.zeros((rows, columns))
        for stride in STRIDES:
            end = start + backbone.CHANNELS[stride]
            own = (features.maps[stride] - self.parts.middle[start:end]) @ weights[start:end]
            times = -(-rows // own.shape[0]), -(-columns // own.shape[1])
            evidence += np.kron(own, np.ones(times))[:rows, :columns]
            start = end
        return evidence


def described(features: Features) -> FloatArray:
    """Return (n_figures,) the mean of each channel over the picture."""
    means = [features.maps[stride].mean(axis=(0, 1)) for stride in STRIDES]
    return np.concatenate(means).astype(np.float64)


def seen(pixels: Pixels) -> Features:
    """Return what the network makes of a picture at the size it was trained with."""
    side = backbone.SIDE
    return backbone.shared().features(backbone.fitted(pixels, height=side, width=side))


def views(pixels: Pixels) -> FloatArray:
    """Return (4, n_figures) of a picture: as it is, mirrored both ways, and turned."""
    turned = (pixels, pixels[:, ::-1], pixels[::-1], np.rot90(pixels))
    return np.array([described(seen(np.ascontiguousarray(one))) for one in turned])


def probabilities(scores: FloatArray, sharpness: float, doubt: float) -> FloatArray:
    """Return (n, n_classes) that sum up to 1."""
    raised = np.exp(sharpness * (scores - scores.max(axis=1, keepdims=True)))
    sure = raised / raised.sum(axis=1, keepdims=True)
    result: FloatArray = (1 - doubt) * sure + doubt / scores.shape[1]
    return result


def _likeness(standard: FloatArray, kept: FloatArray) -> FloatArray:
    """Return (n,) cosine to the nearest of the pictures kept."""
    return np.asarray((_directions(standard) @ kept.T).max(axis=1))


def _directions(standard: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(standard, axis=1, keepdims=True)
    directions: FloatArray = standard / np.maximum(lengths, 1e-9)
    return directions


def _speaks(evidence: FloatArray) -> tuple[int, int, int, int]:
    """Return the bounds of the cells about the highest that speak at least half as much."""
    speaking = evidence >= SPEAKS * evidence.max() if evidence.max() > 0 else evidence >= 0
    _n, pieces = cv2.connectedComponents(speaking.astype(np.uint8), connectivity=8)
    highest = np.unravel_index(int(np.argmax(evidence)), evidence.shape)
    rows, columns = np.nonzero(pieces == pieces[highest])
    return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1


@dataclass(frozen=True, slots=True)
class Training:
    """A trained model and what is known of it.

    Attributes:
        probability: (n, n_classes) by models that had not seen the picture.
        is_turned: pictures were also learnt mirrored and turned.
    """

    model: ClassModel
    probability: FloatArray
    is_turned: bool


def train(pictures: Sequence[FloatArray], labels: Sequence[str]) -> Training:
    """Learn classes from pictures that people named.

    Args:
        pictures: for each (n_views, n_figures) as of `views`, the first as the picture is.

    Raises:
        NotEnoughLabels: fewer than two classes, or one with under `MIN_OF_A_CLASS` pictures.
    """
    names = tuple(sorted(set(labels)))
    codes = np.array([names.index(label) for label in labels], dtype=np.int64)
    _check_enough(names, codes)
    figures = np.stack(pictures)
    folds = _folds(codes)
    tried = {
        turned: _unseen_scores(figures if turned else figures[:, :1], codes, folds)
        for turned in (False, True)
    }
    doubt = 1 / (len(codes) + 2)
    fitted = {turned: _sharpness(scores, codes, doubt) for turned, scores in tried.items()}
    losses = {turned: _loss(tried[turned], codes, fitted[turned], doubt) for turned in tried}
    is_turned = losses[True] < losses[False]
    used = figures if is_turned else figures[:, :1]
    parts = discriminants(_flat(used), np.repeat(codes, used.shape[1]), n_classes=len(names))
    kept, least = _unknown(parts, used)
    model = ClassModel(names, parts, fitted[is_turned], doubt, kept, least)
    return Training(model, probabilities(tried[is_turned], fitted[is_turned], doubt), is_turned)


def _check_enough(names: Sequence[str], codes: IntArray) -> None:
    if len(names) < 2:
        raise NotEnoughLabels("Classes are told apart from two on; name pictures of another one.")
    counts = np.bincount(codes, minlength=len(names))
    few = [f"{name} ({n})" for name, n in zip(names, counts, strict=True) if n < MIN_OF_A_CLASS]
    if few:
        raise NotEnoughLabels(
            f"A class needs at least {MIN_OF_A_CLASS} pictures; too few are named of "
            f"{', '.join(few)}."
        )


def _flat(figures: FloatArray) -> FloatArray:
    return figures.reshape(-1, figures.shape[-1])


def _folds(codes: IntArray) -> IntArray:
    """Return (n,) folds, each class dealt out evenly."""
    folds = np.empty(len(codes), dtype=np.int64)
    n_folds = min(N_FOLDS, int(np.bincount(codes).min()))
    rng = np.random.default_rng(0)
    for code in np.unique(codes):
        own = rng.permutation(np.flatnonzero(codes == code))
        folds[own] = np.arange(len(own)) % n_folds
    return folds


def _unseen_scores(figures: FloatArray, codes: IntArray, folds: IntArray) -> FloatArray:
    scores = np.empty((len(codes), codes.max() + 1))
    for fold in np.unique(folds):
        rest = folds != fold
        parts = discriminants(
            _flat(figures[rest]),
            np.repeat(codes[rest], figures.shape[1]),
            n_classes=codes.max() + 1,
        )
        scores[~rest] = parts.scores(figures[~rest, 0])
    return scores


def _loss(scores: FloatArray, codes: IntArray, sharpness: float, doubt: float) -> float:
    """Return the mean negative log-likelihood."""
    likely = probabilities(scores, sharpness, doubt)[np.arange(len(codes)), codes]
    return float(-np.mean(np.log(likely)))


def _sharpness(scores: FloatArray, codes: IntArray, doubt: float) -> float:
    tried = np.geomspace(0.002, 1.0, 60)
    return float(tried[int(np.argmin([_loss(scores, codes, one, doubt) for one in tried]))])


def _unknown(parts: Discriminants, figures: FloatArray) -> tuple[FloatArray, float]:
    """Return what is kept of the pictures, and the least likeness of a known one.

    Each picture is compared with the others only, so that it is as little alike as a new one.
    """
    standard = _directions(parts.standardised(_flat(figures)))
    own = np.repeat(np.arange(len(figures)), figures.shape[1])
    asked = standard[:: figures.shape[1]]
    alike = asked @ standard.T
    alike[own[None, :] == np.arange(len(figures))[:, None]] = -1.0
    nearest = np.sort(alike.max(axis=1))
    least = float(nearest[int(UNKNOWN_SHARE * len(nearest))])
    step = -(-len(standard) // MAX_KEPT)
    return standard[::step], least


def pack(model: ClassModel) -> Bundle:
    """Return the model as JSON and arrays."""
    parts = model.parts
    return Bundle(
        manifest={
            "form": FORM, "labels": list(model.labels), "sharpness": model.sharpness,
            "doubt": model.doubt, "least_likeness": model.least_likeness,
        },
        arrays={
            "middle": parts.middle, "scale": parts.scale, "weights": parts.weights,
            "offsets": parts.offsets, "kept": model.kept,
        },
        onnx=b"",
    )  # fmt: skip


def unpack(bundle: Bundle) -> ClassModel:
    """Return the model of a verified bundle.

    Raises:
        ArtifactRefused: the bundle holds something else or was made by another version.
    """
    head, arrays = bundle.manifest, bundle.arrays
    if head.get("form") != FORM:
        raise ArtifactRefused("The stored model was made by another version of this product.")
    try:
        labels = tuple(str(label) for label in head["labels"])
        parts = unpacked_discriminants(arrays, n_classes=len(labels), n_figures=N_FIGURES)
        if arrays["kept"].ndim != 2 or arrays["kept"].shape[1] != N_FIGURES:
            raise ArtifactRefused("The pictures kept in the stored model have another form.")
        return ClassModel(
            labels,
            parts,
            float(head["sharpness"]),
            float(head["doubt"]),
            arrays["kept"],
            float(head["least_likeness"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactRefused("The stored model lacks a part that judging needs.") from error


def unpacked_discriminants(
    arrays: Mapping[str, Array], *, n_classes: int, n_figures: int
) -> Discriminants:
    """Return the discriminants of a bundle's arrays.

    Raises:
        KeyError: an array is missing.
        ArtifactRefused: one has another shape.
    """
    parts = Discriminants(*(arrays[name] for name in ("middle", "scale", "weights", "offsets")))
    shapes = [one.shape for one in (parts.middle, parts.scale, parts.weights, parts.offsets)]
    if shapes != [(n_figures,), (n_figures,), (n_classes, n_figures), (n_classes,)]:
        raise ArtifactRefused("The discriminants of the stored model have another form.")
    return parts
