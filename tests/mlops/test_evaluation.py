import numpy as np
import pytest

from mlops.maintenance.evaluation import nasa_score, report


@pytest.mark.parametrize(("late_by", "score"), [(-10.0, 1.158), (10.0, 1.718), (0.0, 0.0)])
def test_being_late_costs_more_than_being_early(late_by, score):
    assert nasa_score(np.array([50.0]), np.array([50.0 + late_by])) == pytest.approx(
        score, abs=5e-4
    )


def test_both_conventions_are_reported():
    figures = report(
        np.array([145.0, 20.0]), np.array([125.0, 26.0]), np.array([110.0, 21.0]),
        np.array([125.0, 30.0]), level=0.8, cap=125.0,
    )  # fmt: skip

    assert figures["rmse_capped"] == pytest.approx(np.sqrt(36 / 2))
    assert figures["rmse_uncapped"] == pytest.approx(np.sqrt((400 + 36) / 2))
    # "110 or more" covers 145; "21 to 30" does not cover 20.
    assert figures["coverage_80"] == 0.5


def test_a_missing_interval_covers_nothing():
    nowhere = np.array([np.nan])

    assert report(np.array([5.0]), np.array([5.0]), nowhere, nowhere)["coverage_80"] == 0.0
