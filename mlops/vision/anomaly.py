"""The model of a product that is learnt from good pictures alone, and mended by shown defects.

Two views of a picture are joined: Gaussians per place (`places`) know where things belong, the
memory of patches (`memory`) knows looks wherever they lie. How much each counts is tried on good
pictures of the product, damaged at random (`trial`). What people have shown as defects (`known`)
can only add. The threshold comes from good pictures, each judged by what the others taught.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from mlops.lives import FloatArray
from mlops.tabular.table import BoolArray
from mlops.vision import known, memory, places
from mlops.vision.backbone import Pixels, Single
from mlops.vision.heat import Blend, Scale, enlarged, score_of
from mlops.vision.known import Known
from mlops.vision.limits import threshold_of
from mlops.vision.memory import Memory
from mlops.vision.patches import Described, Frame, describe
from mlops.vision.places import Places
from mlops.vision.regions import Region, regions_of
from mlops.vision.trial import best_share

LEAST_GOOD: Final = 10
MOST_GOOD: Final = 200
FALSE_REJECT_RATE: Final = 0.02


class TooFewGoodPictures(ValueError):
    """Not enough good pictures to learn from."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A picture of a defective part.

    Attributes:
        mask: (height, width) of the picture, true where the defect is; None if nobody marked it.
    """

    pixels: Pixels
    mask: BoolArray | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one picture.

    Attributes:
        score: of the hottest point; about 1 for good pictures.
        threshold: what the score was held against.
        heat: (height, width) of the model's frame, or an eighth of the picture's size if more.
        regions: where it is too hot, in pixels of the picture, hottest first.
    """

    score: float
    threshold: float
    heat: Single
    regions: tuple[Region, ...]

    @property
    def is_rejected(self) -> bool:
        return self.score > self.threshold

    @property
    def mask(self) -> BoolArray:
        """Where the picture is too hot, in the size of `heat`."""
        mask = np.zeros(self.heat.shape, dtype=np.bool_)
        for region in self.regions:
            mask |= region.mask
        return mask


@dataclass(frozen=True, slots=True)
class AnomalyModel:
    """What good pictures of a product look like, and defects shown so far.

    Attributes:
        threshold: the score that good pictures exceed in `rate` of all cases.
    """

    frame: Frame
    places: Places
    memory: Memory
    known: Known | None
    blend: Blend
    threshold: float
    rate: float

    def judge(self, pixels: Pixels, *, threshold: float | None = None) -> Verdict:
        """Judge a picture of any size, by the model's own threshold if none is given."""
        return self.judge_described(
            describe(pixels, self.frame), height=pixels.shape[0], width=pixels.shape[1],
            threshold=threshold,
        )  # fmt: skip

    def judge_described(
        self, described: Described, *, height: int, width: int, threshold: float | None = None
    ) -> Verdict:
        """Judge a picture of height x width pixels that was described in the model's frame."""
        limit = self.threshold if threshold is None else threshold
        cells = self.heat(described.patches)
        heat = enlarged(cells, self.frame, height=height, width=width)
        regions = regions_of(heat, limit=limit, height=height, width=width)
        return Verdict(float(heat.max()), limit, heat, regions)

    def heat(self, patches: Single) -> Single:
        """Return (rows, columns) how unusual each patch is."""
        far = self.memory.distance(patches) if self.needs_memory else None
        return self.blend.smoothed(self.raw(patches, self.places.distance(patches), far))

    def raw(self, patches: Single, near: Single, far: Single | None) -> Single:
        """Return the heat before smoothing, of distances from places and memory."""
        if self.known is None or far is None:
            return self.blend.raw(near, far)
        return self.blend.raw(near, far, self.known.likeness(self.memory, patches, far))

    @property
    def needs_memory(self) -> bool:
        return self.blend.share < 1.0 or self.known is not None


@dataclass(frozen=True, slots=True)
class Training:
    """A model, with scores of the pictures it was made of, each as if it had not been seen.

    Attributes:
        good_scores: (n_good,); what stands far above the threshold may not be good at all.
        defect_scores: (n_defects,).
    """

    model: AnomalyModel
    good_scores: FloatArray
    defect_scores: FloatArray


def train(
    good: Sequence[Pixels], *, defects: Sequence[Defect] = (), rate: float = FALSE_REJECT_RATE
) -> Training:
    """Learn a product from good pictures, and from defects where some have been shown.

    The same pictures in the same order give the same model. To mend it, train again with what was
    missed among the defects and what was rejected wrongly among the good ones.

    Args:
        good: at least `LEAST_GOOD`; beyond `MOST_GOOD` the latest are learnt from.
        rate: the share of good parts that may be rejected, 0 to 1.

    Raises:
        TooFewGoodPictures: says how many are needed.
    """
    if len(good) < LEAST_GOOD:
        raise TooFewGoodPictures(
            f"{len(good)} good pictures are too few to learn from. {LEAST_GOOD} are needed."
        )
    good = good[-MOST_GOOD:]
    frame = _frame_of(good)
    patches = np.stack([describe(pixels, frame).patches for pixels in good])
    share = best_share(good, patches, frame)
    placed, near = places.fit(patches)
    remembered, far = memory.fit(patches)
    blend = Blend(share, Scale.of(near), Scale.of(far))
    model = AnomalyModel(frame, placed, remembered, None, blend, np.inf, rate)
    shown = [describe(defect.pixels, frame).patches for defect in defects]
    if shown:
        model = _knowing(model, shown, [defect.mask for defect in defects], patches, far)
    seen = list(zip(patches, near, far, strict=True))
    raw = np.stack([model.raw(*views) for views in seen])
    model = replace(model, blend=model.blend.fitted(raw))
    scores = np.array([score_of(model.blend.smoothed(one), frame) for one in raw])
    model = replace(model, threshold=threshold_of(scores, rate=rate))
    return Training(model, scores, _defect_scores(model, shown))


def _frame_of(good: Sequence[Pixels]) -> Frame:
    """Return the frame for the usual shape of the pictures."""
    height, width = np.median([pixels.shape[:2] for pixels in good], axis=0)
    return Frame.around(int(height), int(width))


def _knowing(
    model: AnomalyModel, shown: Sequence[Single], masks: Sequence[BoolArray | None],
    patches: Single, far: Single,
) -> AnomalyModel:  # fmt: skip
    """Return the model with the shown defects, scaled by what good pictures have of them."""
    exemplars = known.fit(
        model.memory,
        [(one, model.heat(one), mask) for one, mask in zip(shown, masks, strict=True)],
        usual=float(np.quantile(far, known.LEAST_UNUSUAL)),
    )
    likeness = [
        exemplars.likeness(model.memory, *views) for views in zip(patches, far, strict=True)
    ]
    blend = replace(model.blend, known=Scale.of(np.stack(likeness)))
    return replace(model, known=exemplars, blend=blend)


def _defect_scores(model: AnomalyModel, shown: Sequence[Single]) -> FloatArray:
    """Score each shown defect by a model that knows the others only."""
    scores = []
    for number, patches in enumerate(shown):
        assert model.known is not None
        other = replace(model, known=model.known.without(number))
        scores.append(score_of(other.heat(patches), model.frame))
    return np.array(scores)
