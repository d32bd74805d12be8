"""Teach a product from good pictures, judge others, and count: shared by the forms of folders."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from mlops import artifacts
from mlops.artifacts import Identity
from mlops.benchmarks import BadFolder
from mlops.lives import FloatArray
from mlops.tabular.table import BoolArray
from mlops.vision import anomaly, inspector, packing, pictures
from mlops.vision.anomaly import Verdict
from mlops.vision.backbone import Pixels
from mlops.vision.inspector import Inspector

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Taught:
    """A model as it would be served, and what it cost."""

    inspector: Inspector
    train_s: float
    memory_mb: float
    n_good: int


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts on pictures, and how long each took from its bytes on.

    Attributes:
        busy_ms: (n,) time of the one core in use, whatever else the machine does.
        elapsed_ms: (n,) by the clock.
    """

    verdicts: Sequence[Verdict]
    busy_ms: FloatArray
    elapsed_ms: FloatArray

    @property
    def scores(self) -> FloatArray:
        return np.array([verdict.score for verdict in self.verdicts])


def teach(good: Sequence[Pixels]) -> Taught:
    """Train, then seal and open the model: what is measured is what would be served.

    Raises:
        BadFolder: the pictures are too few.
    """
    started = time.monotonic()
    try:
        made = inspector.train(good).inspector
    except anomaly.TooFewGoodPictures as error:
        raise BadFolder(str(error)) from error
    train_s = time.monotonic() - started
    identity = Identity("benchmark", packing.KIND, "benchmark", 1)
    blob = artifacts.seal(packing.pack(made), identity=identity, key="benchmark")
    served = packing.unpack(artifacts.open_sealed(blob, identity=identity, key="benchmark"))
    return Taught(served, train_s, len(blob) / MEGABYTE, min(len(good), anomaly.MOST_GOOD))


def judge(served: Inspector, contents: Sequence[Callable[[], bytes]]) -> Judged:
    """Judge pictures one by one, timed from their bytes to the verdict."""
    verdicts, busy, elapsed = [], [], []
    for content in contents:
        data = content()
        started, used = time.perf_counter(), time.process_time()
        verdicts.append(served.inspect(pictures.decode(data).pixels).verdict)
        busy.append(1000.0 * (time.process_time() - used))
        elapsed.append(1000.0 * (time.perf_counter() - started))
    return Judged(verdicts, np.array(busy), np.array(elapsed))


def figures_of(taught: Taught, judged: Judged, is_defect: BoolArray) -> dict[str, float]:
    """Return the figures of whole pictures."""
    rejected = judged.scores > taught.inspector.model.threshold
    return {
        "image_auroc": float(roc_auc_score(is_defect, judged.scores)),
        "false_reject_rate": float(rejected[~is_defect].mean()),
        "escape_rate": float((~rejected)[is_defect].mean()),
        "ms_per_image": float(np.median(judged.busy_ms)),
        "ms_elapsed": float(np.median(judged.elapsed_ms)),
        "memory_mb": taught.memory_mb,
        "train_s": taught.train_s,
        "n_good": float(taught.n_good),
        "n_images": float(len(is_defect)),
    }
