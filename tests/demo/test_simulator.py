"""Simulated machines: the same answer to the same question, and physics one can believe."""

from datetime import UTC, datetime

import numpy as np
import pytest

from config.demo import noise
from config.demo.machines import ACME, FACTORIES
from config.demo.plan import Phase
from config.demo.simulator import SimulatedMachine, simulate

ANCHOR = datetime(2026, 11, 17, 9, 42, tzinfo=UTC).timestamp()
DAYS = 28
HOUR = 3600


def _machines(*, until: float = ANCHOR + 2 * HOUR, seed: int = 7) -> dict[str, SimulatedMachine]:
    made = simulate(ACME, seed=seed, anchor=ANCHOR, days=DAYS, until=until)
    return {machine.name: machine for machine in made}


@pytest.fixture(scope="module")
def acme_machines() -> dict[str, SimulatedMachine]:
    return _machines()


def _minutes(machine: SimulatedMachine, until: float = ANCHOR) -> noise.IntArray:
    return np.arange(int(machine.start) * 1000, int(until) * 1000, 60_000)


def test_the_same_seed_and_time_give_the_same_reading_in_any_order(acme_machines):
    times = _minutes(acme_machines["Mill 1"])[5000:5100]

    whole = acme_machines["Mill 1"].readings(times).columns
    again = _machines()["Mill 1"].readings(times[::-1]).columns

    assert {key: column[::-1] for key, column in again.items()} == whole


def test_another_seed_is_another_history(acme_machines):
    times = _minutes(acme_machines["Mill 2"])[5000:5100]

    here = acme_machines["Mill 2"].readings(times).columns["vib_rms_mm_s"]

    assert here != _machines(seed=8)["Mill 2"].readings(times).columns["vib_rms_mm_s"]


def test_a_plan_drawn_further_ahead_keeps_its_past(acme_machines):
    later = _machines(until=ANCHOR + 20 * 24 * HOUR)

    for name, machine in acme_machines.items():
        times = _minutes(machine, until=ANCHOR + HOUR)[::97]
        assert later[name].readings(times).columns == machine.readings(times).columns


def test_live_goes_on_where_history_ends(acme_machines):
    mill = acme_machines["Mill 1"]
    history = mill.readings(_minutes(mill)[-3:]).columns
    live = mill.readings(np.arange(int(ANCHOR), int(ANCHOR) + 20, 2) * 1000).columns

    assert 0 <= live["part_count"][0] - history["part_count"][-1] <= 1
    assert live["spindle_temp_c"][0] == pytest.approx(history["spindle_temp_c"][-1], abs=1.0)
    wear = mill.wear(np.array([ANCHOR - 60, ANCHOR, ANCHOR + 60]))
    assert 0 <= wear[1] - wear[0] < 0.001
    assert 0 <= wear[2] - wear[1] < 0.001


def test_mills_and_lathes_have_lived_often_enough_to_learn_from(acme_machines):
    for kind in ("mill", "lathe"):
        alike = [m for m in acme_machines.values() if m.spec.type.code == kind]
        assert sum(len(m.breakdowns(until=ANCHOR)) for m in alike) >= 9


def test_a_life_ends_at_full_wear_and_the_next_begins_new(acme_machines):
    mill = acme_machines["Mill 2"]

    for life in mill.plan.lives[:-1]:
        before, after = mill.wear(np.array([life.failed - 1, life.restored + 1]))
        assert before == pytest.approx(1.0, abs=0.001)
        assert after < 0.001


def test_a_worn_bearing_shakes_more_and_runs_hotter_at_the_same_work(acme_machines):
    mill = acme_machines["Mill 2"]
    times = _minutes(mill)
    seconds = times / 1000.0
    at = mill.plan.at(seconds)
    at_work = mill.plan.phase[at] == Phase.WORK
    wear = mill.wear(seconds)
    columns = mill.readings(times).columns
    new, worn = at_work & (wear < 0.2), at_work & (wear > 0.95)

    vibration = np.array(columns["vib_rms_mm_s"]) / mill.plan.load[at]
    heat = np.array(columns["spindle_temp_c"])
    assert vibration[worn].mean() > 2 * vibration[new].mean()
    assert heat[worn].mean() > heat[new].mean() + 5


def test_power_and_vibration_follow_the_work(acme_machines):
    for name in ("Mill 1", "Lathe 1", "Compressor 1"):
        machine = acme_machines[name]
        times = _minutes(machine)
        works = machine.plan.phase[machine.plan.at(times / 1000.0)] == Phase.WORK
        columns = machine.readings(times).columns
        for key in ("power_kw", "vib_rms_mm_s"):
            values = np.array(columns[key])
            assert values[works].mean() > 2 * values[~works].mean()


def test_counters_and_hour_meters_never_fall_and_keep_the_pace(acme_machines):
    for machine in acme_machines.values():
        columns = machine.readings(_minutes(machine)).columns
        hours = np.array(columns["run_hours"])
        assert (np.diff(hours) >= 0).all()
        assert 0 <= np.diff(hours).max() <= 1 / 60 + 0.002
        if machine.spec.type.speaks:
            made = np.array(columns["part_count"])
            rate = machine.spec.type.ideal_rate_per_h
            assert (np.diff(made) >= 0).all()
            assert 0.9 * rate < made[-1] / hours[-1] <= rate


def test_words_flags_and_numbers_agree_with_each_other(acme_machines):
    mill = acme_machines["Mill 1"]
    columns = mill.readings(_minutes(mill)).columns
    execution, fault = np.array(columns["execution"]), np.array(columns["fault"])
    grew = np.diff(columns["part_count"], prepend=columns["part_count"][0]) > 0

    assert set(execution) == {"ACTIVE", "READY", "STOPPED", "INTERRUPTED"}
    assert (execution[fault] == "STOPPED").all()
    # A part seen at a reading may have been finished just before the stop seen there.
    assert (execution[grew] == "ACTIVE").mean() > 0.95


def test_a_sensor_that_sticks_repeats_one_value_while_others_move(acme_machines):
    lathe = acme_machines["Lathe 2"]
    columns = lathe.readings(_minutes(lathe)).columns

    def longest_repeat(key: str) -> int:
        same = np.diff(columns[key]) == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(int), [0]])))
        return int(max((edges[1::2] - edges[::2]).tolist()))

    assert longest_repeat("coolant_temp_c") >= 180
    assert longest_repeat("vib_rms_mm_s") < 5


def test_breaks_stop_the_machines_at_local_time_on_both_sides_of_the_clock_change():
    summer = datetime(2026, 10, 23, 8, 10, tzinfo=UTC).timestamp()  # 10:10 in Berlin
    winter = datetime(2026, 11, 10, 9, 10, tzinfo=UTC).timestamp()  # 10:10 in Berlin
    machine = _machines()["Deburring 1"]

    phases = machine.plan.phase[machine.plan.at(np.array([summer, winter]))]

    assert set(phases.tolist()) <= {Phase.BREAK, Phase.FAULT}


def test_the_first_visitor_sees_every_kind_of_state(acme_machines):
    now = {
        name: Phase(int(machine.plan.phase[machine.plan.at(np.array([ANCHOR]))[0]]))
        for name, machine in acme_machines.items()
    }

    assert now["Mill 3"] == Phase.FAULT
    assert now["Mill 4"] == Phase.SETUP
    assert now["Lathe 3"] == Phase.WAIT
    assert now["Mill 1"] == Phase.WORK
    wear = acme_machines["Mill 1"].wear(np.array([ANCHOR]))[0]
    assert wear == pytest.approx(0.84, abs=0.01)


def test_every_reading_is_what_ingest_accepts():
    for factory in FACTORIES:
        for machine in simulate(factory, seed=7, anchor=ANCHOR, days=2, until=ANCHOR + HOUR):
            for row in machine.readings(_minutes(machine)[::60]).rows():
                values = row["values"]
                assert isinstance(row["ts"], int)
                assert all(isinstance(v, int | float | str | bool) for v in values.values())
                assert all(np.isfinite(v) for v in values.values() if isinstance(v, float))


def test_noise_has_mean_zero_and_unit_spread_and_no_memory():
    drawn = noise.white(noise.stream(1, "any"), np.arange(20_000) * 1000)

    assert abs(drawn.mean()) < 0.03
    assert drawn.std() == pytest.approx(1.0, abs=0.03)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.03
