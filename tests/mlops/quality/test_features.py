import numpy as np
import pytest

from mlops.quality.features import columns_of, summarised, table_of
from mlops.quality.parts import Limits, Part, Plan, Readings, Stage, UnusablePart
from tests.mlops.quality.line import readings

PLAN = Plan(
    ("melt", "press"), {"melt": ("temperature",), "press": ("pressure",)},
    {("melt", "temperature"): Limits(high=30.0)}, ("moisture",), {"supplier": ("A", "B")},
)  # fmt: skip


def row(part, n_stages=None):
    table = table_of([part], PLAN, n_stages)
    return dict(zip([c.name for c in table.columns], table.values[0], strict=True))


def test_a_signal_is_summed_up():
    mean, spread, lowest, highest, last, slope = summarised(readings([10, 20, 30], step_s=60))

    # The middle reading stands for a minute, those at the ends for half of one.
    assert (mean, lowest, highest, last) == (20, 10, 30, 30)
    assert spread == pytest.approx(np.sqrt(50))
    assert slope == pytest.approx(10)


def test_readings_taken_on_change_do_not_outweigh_quiet_time():
    busy = Readings(np.array([0.0, 1.0, 2.0, 3.0, 103.0]), np.array([9.0, 9.0, 9.0, 5.0, 5.0]))

    assert summarised(busy)[0] == pytest.approx((9 * 2.5 + 5 * 100.5) / 103)


def test_a_silent_signal_is_unknown():
    assert np.isnan(summarised(readings([np.nan, np.nan]))).all()
    assert np.isnan(summarised(readings([]))).all()


def test_one_reading_has_no_slope():
    mean, spread, *_rest, slope = summarised(readings([7.0]))

    assert (mean, spread) == (7.0, 0.0)
    assert np.isnan(slope)


def test_a_row_names_stages_waits_and_parameters():
    part = Part(
        {
            "melt": Stage(0.0, 60.0, {"temperature": readings([20, 40, 40], step_s=20)}),
            "press": Stage(75.0, 95.0, {"pressure": readings([5], start_s=80)}),
        },
        {"moisture": 0.3, "supplier": "B"},
    )

    found = row(part)

    assert found["moisture"] == 0.3
    assert found["supplier"] == 1.0
    assert found["melt: duration, s"] == 60.0
    assert found["press: wait before, s"] == 15.0
    assert found["press: pressure, last"] == 5.0
    assert found["melt: temperature, share of time at limit"] == pytest.approx(0.75)


def test_what_is_missing_is_unknown_and_so_is_a_level_never_seen():
    found = row(Part({}, {"supplier": "C", "moisture": None}))

    assert np.isnan(list(found.values())).all()


def test_an_early_row_knows_nothing_of_later_stages():
    assert [c.name for c in columns_of(PLAN, 0)] == ["moisture", "supplier"]
    assert not any(c.name.startswith("press") for c in columns_of(PLAN, 1))


def test_a_stage_that_goes_on_is_not_complete():
    part = Part({"melt": Stage(0.0, 60.0), "press": Stage(70.0, None)})

    assert part.complete(PLAN.stages) == 1
    assert Part({"press": Stage(70.0, 80.0)}).complete(PLAN.stages) == 0


def test_a_plan_is_found_among_parts():
    parts = [
        Part(
            {"press": Stage(100.0, 120.0, {"pressure": readings([1])}), "melt": Stage(0.0, 60.0)},
            {"size": 3, "supplier": "B" if i else "A", "rare": 1 if i == 0 else None},
        )
        for i in range(10)
    ]

    plan = Plan.of(parts)

    assert plan.stages == ("melt", "press")
    assert plan.signals == {"melt": (), "press": ("pressure",)}
    assert plan.numbers == ("size",)
    assert plan.categories == {"supplier": ("A", "B")}


def test_times_that_run_backwards_are_refused():
    with pytest.raises(UnusablePart, match="never decrease"):
        Readings(np.array([1.0, 0.0]), np.array([1.0, 1.0]))
