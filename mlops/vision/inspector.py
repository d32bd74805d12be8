"""Everything that is known of a product's pictures, and one look at a picture for all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.vision import acquisition, anomaly
from mlops.vision.acquisition import Acquisition, Complaint
from mlops.vision.anomaly import FALSE_REJECT_RATE, MOST_GOOD, AnomalyModel, Defect, Verdict
from mlops.vision.backbone import Pixels
from mlops.vision.patches import Described, describe


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is said of one picture.

    Attributes:
        complaints: what is wrong with the picture rather than the part. Where there are any, the
            verdict is worth little.
        seen: what the network made of it, for whatever else looks at the picture.
    """

    verdict: Verdict
    complaints: tuple[Complaint, ...]
    seen: Described


@dataclass(frozen=True, slots=True)
class Inspector:
    """What good pictures of a product look like, and how they are taken."""

    model: AnomalyModel
    acquisition: Acquisition

    def inspect(self, pixels: Pixels, *, threshold: float | None = None) -> Inspection:
        """Judge a picture, by the model's own threshold if none is given."""
        seen = describe(pixels, self.model.frame)
        verdict = self.model.judge_described(
            seen, height=pixels.shape[0], width=pixels.shape[1], threshold=threshold
        )
        return Inspection(verdict, self.acquisition.complaints(pixels, seen.embedding), seen)


@dataclass(frozen=True, slots=True)
class Training:
    """An inspector, with scores of its pictures, each as if it had not been seen.

    Attributes:
        good_scores: (n_good,); what stands far above the threshold may not be good at all.
        defect_scores: (n_defects,).
    """

    inspector: Inspector
    good_scores: FloatArray
    defect_scores: FloatArray


def train(
    good: Sequence[Pixels], *, defects: Sequence[Defect] = (), rate: float = FALSE_REJECT_RATE
) -> Training:
    """Learn a product; arguments and errors are those of `anomaly.train`."""
    trained = anomaly.train(good, defects=defects, rate=rate)
    latest, frame = good[-MOST_GOOD:], trained.model.frame
    embeddings = np.stack([describe(pixels, frame).embedding for pixels in latest])
    inspector = Inspector(trained.model, acquisition.learn(latest, embeddings))
    return Training(inspector, trained.good_scores, trained.defect_scores)
