"""How good forecasts of outcomes are, with intervals that count groups as cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlops.lives import FloatArray
from mlops.regimes import IntArray

N_DRAWS = 200
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class ClassReport:
    """How one class fares.

    Attributes:
        precision: of those called so, the share that were; NaN where none was.
        recall: of those that were, the share called so.
    """

    name: str
    n: int
    precision: float
    recall: float
    f1: float


def report(probability: FloatArray, called: IntArray, codes: IntArray) -> dict[str, float]:
    """Return figures of forecasts.

    Args:
        probability: (n, n_classes).
        called: (n,) the class that a reader would be told.
        codes: (n,) what happened.

    Returns:
        accuracy, mcc and roc_auc; of two classes also f1, average_precision, precision, recall,
        brier; of more also macro_f1, log_loss, and roc_auc is the mean over the classes, each
        against the others.
    """
    from sklearn import metrics  # brings pandas: seconds, in any process

    n_classes = probability.shape[1]
    figures = {"mcc": float(metrics.matthews_corrcoef(codes, called))}
    if n_classes > 2:
        inside = np.clip(probability[np.arange(len(codes)), codes], 1e-12, None)
        return figures | {
            "accuracy": float(np.mean(called == codes)),
            "macro_f1": float(
                metrics.f1_score(
                    codes, called, labels=range(n_classes), average="macro", zero_division=0.0
                )
            ),
            "log_loss": float(-np.mean(np.log(inside))),
            "roc_auc": _auc_of_classes(probability, codes),
        }
    event, said = codes == 1, called == 1
    right = float(np.sum(event & said))
    return figures | {
        "accuracy": float(np.mean(called == codes)),
        "f1": 2.0 * right / max(float(event.sum() + said.sum()), 1.0),
        "precision": right / max(float(said.sum()), 1.0),
        "recall": right / max(float(event.sum()), 1.0),
        "average_precision": float(metrics.average_precision_score(event, probability[:, 1])),
        "roc_auc": float(metrics.roc_auc_score(event, probability[:, 1])),
        "brier": float(np.mean((probability[:, 1] - event) ** 2)),
    }


def _auc_of_classes(probability: FloatArray, codes: IntArray) -> float:
    """Return the mean over classes that some cases are of and some are not; NaN without any."""
    from sklearn import metrics

    areas = [
        float(metrics.roc_auc_score(codes == code, probability[:, code]))
        for code in np.unique(codes)
        if not np.all(codes == code)
    ]
    return float(np.mean(areas)) if areas else float("nan")


def with_intervals(
    probability: FloatArray, called: IntArray, codes: IntArray, places: IntArray, *, seed: int = 0
) -> dict[str, float]:
    """Return `report` and, for each figure, its 90 % interval as <name>_low and <name>_high.

    Whole groups are drawn with replacement (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993). Draws that lack a class are left out.
    """

    def measured(rows: IntArray) -> dict[str, float]:
        return report(probability[rows], called[rows], codes[rows])

    figures = measured(np.arange(len(codes)))
    drawn = _resampled(measured, codes, places, seed)
    for name in list(figures):
        values = [one[name] for one in drawn]
        if values:
            low, high = np.quantile(values, INTERVAL)
            figures |= {f"{name}_low": float(low), f"{name}_high": float(high)}
    return figures


def _resampled(
    measured: Callable[[IntArray], dict[str, float]], codes: IntArray, places: IntArray, seed: int
) -> list[dict[str, float]]:
    rng = np.random.default_rng(seed)
    order = np.argsort(places, kind="stable")
    _names, starts = np.unique(places[order], return_index=True)
    rows_of = np.split(order, starts[1:])
    n_classes = len(np.unique(codes))
    drawn = []
    for _ in range(N_DRAWS):
        chosen = rng.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rows_of[i] for i in chosen])
        if len(np.unique(codes[rows])) == n_classes:
            drawn.append(measured(rows))
    return drawn


def by_class(called: IntArray, codes: IntArray, classes: tuple[str, ...]) -> list[ClassReport]:
    """Return how each class fares, in the order of the classes."""
    reports = []
    for code, name in enumerate(classes):
        said, was = called == code, codes == code
        right = float(np.sum(said & was))
        n_said, n_was = float(said.sum()), float(was.sum())
        reports.append(
            ClassReport(
                name, int(n_was),
                right / n_said if n_said else float("nan"),
                right / n_was if n_was else float("nan"),
                2.0 * right / max(n_said + n_was, 1.0),
            )
        )  # fmt: skip
    return reports
