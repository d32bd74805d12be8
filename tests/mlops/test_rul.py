import numpy as np
import pytest

from mlops import trees
from mlops.features import new_spec
from mlops.maintenance import rul
from mlops.maintenance.horizon import horizon
from mlops.maintenance.reasons import SignalName, reasons_for, written
from tests.mlops.wear import SIGNALS, fleet, worn_life


@pytest.fixture(scope="module")
def onnx(training):
    return trees.OnnxModel(training.model.serialised)


def test_wear_is_forecast_on_machines_never_seen(training, onnx):
    life = worn_life("new", length=70, seed=99)

    left = {n: training.model.forecast(life.until(n), onnx).rul for n in (35, 60, 66)}

    assert left[66] < left[60] < left[35]
    assert left[66] == pytest.approx(4.0, abs=4.0)


def test_the_model_beats_knowing_the_age_alone(training):
    assert training.metrics["rmse_capped"] < 0.6 * training.metrics["rmse_by_age_alone"]


def test_intervals_cover_new_machines(training, onnx):
    covered = []
    for seed in range(100, 160):
        life = worn_life("new", length=50 + seed % 40, seed=seed)
        n_left = seed % int(training.model.cap)
        forecast = training.model.forecast(life.until(len(life) - n_left), onnx)
        low, high = forecast.intervals[0.9]
        covered.append(low <= n_left and (n_left <= high or high >= training.model.cap))

    assert np.mean(covered) >= 0.8


def test_a_forecast_stays_between_nothing_and_the_horizon(training, onnx):
    forecast = training.model.forecast(worn_life("new", length=80, seed=5).until(20), onnx)

    for low, high in forecast.intervals.values():
        assert 0 <= low <= forecast.rul <= high <= training.model.cap
    assert forecast.open_ended


def test_a_wider_level_has_a_wider_interval(training, onnx):
    intervals = training.model.forecast(worn_life("n", length=70, seed=5).until(60), onnx).intervals

    assert intervals[0.9][0] <= intervals[0.8][0]
    assert intervals[0.8][1] <= intervals[0.9][1]


def test_a_young_machine_is_told_how_much_is_missing(training, onnx):
    with pytest.raises(rul.TooLittleHistory, match="has 2 steps of history"):
        training.model.forecast(worn_life("new", length=50, seed=1).until(2), onnx)


def test_too_few_failures_say_how_many_are_missing():
    with pytest.raises(rul.NotEnoughLives, match="needs about 3 more failures"):
        rul.train(fleet(6), signals=SIGNALS)


def test_lives_that_go_on_are_not_taken_for_failures():
    running = [life.until(30) for life in fleet(20)]

    with pytest.raises(rul.NotEnoughLives, match="needs about 4 more"):
        rul.train([*fleet(5), *running], signals=SIGNALS)


def test_no_life_judges_the_member_that_it_trained():
    lives = [worn_life(f"{u}/{k}", length=50, seed=k, group=f"unit {u}")
             for u in range(6) for k in range(3)]  # fmt: skip

    folds = rul.folds_of(lives)

    by_unit = {(life.group, fold) for life, fold in zip(lives, folds.tolist(), strict=True)}
    assert len(by_unit) == 6  # all lives of a unit are held out together


def test_lives_of_few_machines_are_held_out_singly():
    lives = [worn_life(f"{k}", length=50, seed=k, group=f"unit {k % 2}") for k in range(9)]

    assert sorted(rul.folds_of(lives).tolist()) == list(range(9))


def test_training_twice_gives_the_same_model(training):
    again = rul.train(fleet(), signals=SIGNALS, n_threads=1)

    assert again.digest == training.digest
    assert again.model.serialised == training.model.serialised


def test_the_horizon_is_found_where_wear_begins():
    """Wear of the fleet is exp(-left / 12): visible over about 30 steps, whatever the lives."""
    lives = fleet(20)

    assert 20 <= horizon(lives, new_spec(lives)) <= 50


def test_the_signals_that_wear_are_named_as_reasons(training, onnx):
    life = worn_life("new", length=70, seed=42).until(66)
    names = {"vib_mm_s": SignalName("Spindle vibration", "mm/s")}

    reasons = reasons_for(model=training.model, life=life, onnx=onnx, names=names)

    assert {reason.signal for reason in reasons[:2]} == {"vib_mm_s", "heat_c"}
    assert sum(reason.share for reason in reasons) == pytest.approx(1.0)
    vibration = next(reason for reason in reasons if reason.signal == "vib_mm_s")
    assert vibration.usual is not None and vibration.value is not None  # noqa: PT018
    low, high = vibration.usual
    assert 1.0 < low < 1.5 < high < 2.3 < vibration.value
    assert vibration.sentence.startswith("Spindle vibration is")
    assert "above its usual" in vibration.sentence
    assert vibration.sentence.endswith("rising.")


def test_a_silent_signal_is_said_to_be_silent(training, onnx):
    life = worn_life("new", length=70, seed=42).until(66)
    life.values[40:, 2] = np.nan

    reasons = reasons_for(model=training.model, life=life, onnx=onnx, names={})

    said = {reason.signal: reason.sentence for reason in reasons}
    assert "vib_mm_s" not in said or "silent" in said["vib_mm_s"]
    assert np.isfinite(training.model.forecast(life, onnx).rul)


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (3.14159, "3.142"), (1428.3, "1,428"), (0.00123, "0.00123")]
)
def test_numbers_are_written_as_people_read_them(value, text):
    assert written(value) == text


def test_a_narrow_range_is_written_so_that_its_ends_differ():
    assert [written(x, 0.17) for x in (2387.98, 2388.06, 2388.15)] == [
        "2,387.98",
        "2,388.06",
        "2,388.15",
    ]


def test_chances_grow_with_time_and_end_where_nothing_can_be_told(training):
    model = training.model
    near, far = 6.0, model.cap

    chances = [model.chance_within(near, usage) for usage in (2.0, 6.0, 12.0, 10 * model.cap)]

    assert chances == sorted(chances)
    assert chances[0] < 0.3
    assert chances[-1] > 0.9
    assert model.chance_within(far, 2.0) < 0.1
    assert model.chance_within(far, 10 * model.cap) is None


def test_chances_are_calibrated_on_lives_never_seen(training):
    """Of moments that were given a chance of about a half, about half fail in time."""
    from tests.mlops.wear import worn_life

    onnx, told, came = trees.OnnxModel(training.model.serialised), [], []
    for seed in range(900, 930):
        life = worn_life("new", length=70, seed=seed)
        for left in range(1, 30):
            seen = life.until(70 - left)
            forecast = training.model.forecast(seen, onnx)
            chance = training.model.chance_within(forecast.rul, 10.0)
            if chance is not None:
                told.append(chance)
                came.append(left - 1 < 10)
    told, came = np.array(told), np.array(came)

    assert abs(told.mean() - came.mean()) < 0.1
    assert came[told > 0.8].mean() > 0.8
    assert came[told < 0.2].mean() < 0.2
