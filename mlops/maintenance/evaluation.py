"""How good forecasts of remaining life are, in the measures the literature uses."""

from __future__ import annotations

from typing import Final

import numpy as np

from mlops.lives import FloatArray

CONVENTIONAL_CAP: Final = 125.0

# Capped RMSE and NASA score on the C-MAPSS test sets. Source: Benchmark.md (table 4) of the
# public repository LLerDagu/RUL-FFVE; rows from CNN and Deep LSTM seem to compare with the
# uncapped truth, later ones with the truth capped at 125.
PUBLISHED: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "CNN": {
        "FD001": (18.45, 1299),
        "FD002": (30.29, 13600),
        "FD003": (19.82, 1600),
        "FD004": (29.16, 7890),
    },
    "Deep LSTM": {
        "FD001": (16.14, 338),
        "FD002": (24.49, 4450),
        "FD003": (16.18, 852),
        "FD004": (28.17, 5550),
    },
    "AGCNN": {
        "FD001": (12.42, 225.5),
        "FD002": (19.43, 1492),
        "FD003": (13.39, 227),
        "FD004": (21.50, 3392),
    },
    "MS-DCNN": {
        "FD001": (11.44, 196),
        "FD002": (19.35, 3747),
        "FD003": (11.67, 242),
        "FD004": (22.22, 4844),
    },
    "MTSTAN": {
        "FD001": (10.97, 175),
        "FD002": (16.81, 1154),
        "FD003": (10.90, 188),
        "FD004": (18.85, 1446),
    },
    "FFVE": {
        "FD001": (12.31, 280),
        "FD002": (12.55, 772),
        "FD003": (12.43, 302),
        "FD004": (14.08, 1149),
    },
}


def nasa_score(true: FloatArray, predicted: FloatArray) -> float:
    """Return the PHM 2008 score: a sum that punishes late forecasts harder than early ones.

    Source: Saxena and others, Damage propagation modeling for aircraft engine run-to-failure
    simulation (PHM, 2008).
    """
    late_by = predicted - true
    return float(np.sum(np.where(late_by < 0, np.expm1(-late_by / 13.0), np.expm1(late_by / 10.0))))


def rmse(true: FloatArray, predicted: FloatArray) -> float:
    """Return the root mean squared error."""
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def report(
    true: FloatArray,
    predicted: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    level: float = 0.8,
    cap: float = CONVENTIONAL_CAP,
) -> dict[str, float]:
    """Measure forecasts in both conventions.

    Args:
        true: remaining life, not capped.
        predicted, low, high: forecasts and their intervals of `level`; an end that is not
            known (no interval) is NaN and counts as not covering.
        cap: remaining life beyond it counts as the cap, for the truth and for forecasts.

    Returns:
        n, rmse_capped (truth capped too), rmse_uncapped (truth as it is), nasa_score and
        nasa_score_uncapped likewise, mae_capped, coverage_<level in %>, mean_width_<level in %>.
        An upper end at or above the cap means "or more".
    """
    capped, forecast = np.minimum(true, cap), np.minimum(predicted, cap)
    inside = (low <= capped) & (capped <= np.where(high >= cap, np.inf, high))
    percent = round(level * 100)
    return {
        "n": float(len(true)),
        "rmse_capped": rmse(capped, forecast),
        "rmse_uncapped": rmse(true, forecast),
        "nasa_score": nasa_score(capped, forecast),
        "nasa_score_uncapped": nasa_score(true, forecast),
        "mae_capped": float(np.mean(np.abs(forecast - capped))),
        f"coverage_{percent}": float(np.mean(inside)),
        f"mean_width_{percent}": float(np.mean(np.minimum(high, cap) - low)),
    }
