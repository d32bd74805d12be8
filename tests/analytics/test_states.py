"""The decision table of machine states, worked by hand, and what holds for any signals."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.cues import Cue, cues_of_lights, cues_of_words
from analytics.evidence import Evidence, Rules, Samples
from analytics.states import Entry, State, state_intervals

MINUTE = 60_000
HOUR = 60 * MINUTE


def _samples(*pairs: tuple[float, float]) -> Samples:
    times = np.array([round(minute * MINUTE) for minute, _ in pairs], dtype=np.int64)
    return Samples(times, np.array([value for _, value in pairs], dtype=float))


def _every_minute(n: int, value: float = 0.0) -> Samples:
    return _samples(*[(minute, value) for minute in range(n)])


def _words(n: int, *changes: tuple[int, str]) -> Samples:
    """A control that says its word every minute, changing at the given minutes."""
    words = [next(w for at, w in reversed(changes) if at <= minute) for minute in range(n)]
    return Samples(np.arange(n, dtype=np.int64) * MINUTE, cues_of_words(words))


def _counts(n: int, per_minute: float, *, start: int = 0, stop: int | None = None) -> Samples:
    minutes = np.arange(n)
    worked = np.clip(minutes, start, stop if stop is not None else n) - start
    return Samples(minutes.astype(np.int64) * MINUTE, np.floor(worked * per_minute + 1e-9))


def _states(evidence: Evidence, *, until: float, rules: Rules | None = None, **kwargs):
    intervals = state_intervals(
        evidence, start_ms=0, end_ms=round(until * MINUTE), rules=rules or Rules(), **kwargs
    )
    return [(str(i.state), i.start_ms / MINUTE, i.end_ms / MINUTE) for i in intervals]


def _seen(*signals: Samples) -> np.ndarray:
    return np.unique(np.concatenate([signal.times for signal in signals]))


def test_words_of_the_control_become_running_idle_and_down():
    state = _words(60, (0, "ACTIVE"), (20, "READY"), (40, "FAULT"))

    assert _states(Evidence(state.times, (state,)), until=60) == [
        ("run", 0, 20), ("idle", 20, 40), ("down", 40, 60),
    ]  # fmt: skip


def test_a_machine_without_any_linked_signal_is_no_data_and_never_idle():
    seen = np.arange(10, dtype=np.int64) * MINUTE

    assert _states(Evidence(seen), until=10) == [("nodata", 0, 10)]


def test_silence_begins_one_expected_interval_after_the_last_reading():
    state = _words(20, (0, "ACTIVE"))

    assert _states(Evidence(state.times, (state,)), until=30) == [
        ("run", 0, 20), ("nodata", 20, 30),
    ]  # fmt: skip


def test_three_missed_readings_are_a_silence_and_two_are_not():
    times = np.array([0, 1, 2, 3, 6, 7, 8, 12, 13], dtype=np.int64) * MINUTE
    state = Samples(times, np.full(len(times), float(Cue.CYCLING)))

    # 3 to 6 is three intervals (the limit itself), 8 to 12 is four.
    assert _states(Evidence(times, (state,)), until=14) == [
        ("run", 0, 9), ("nodata", 9, 12), ("run", 12, 14),
    ]  # fmt: skip


def test_nothing_is_known_before_the_first_reading():
    state = Samples(np.arange(5, 10, dtype=np.int64) * MINUTE, np.full(5, float(Cue.WAITING)))

    assert _states(Evidence(state.times, (state,)), until=10) == [
        ("nodata", 0, 5), ("idle", 5, 10),
    ]  # fmt: skip


def test_what_held_before_the_start_still_holds_at_the_start():
    state = _words(60, (0, "STOPPED"), (30, "ACTIVE"))

    intervals = state_intervals(
        Evidence(state.times, (state,)), start_ms=10 * MINUTE, end_ms=60 * MINUTE, rules=Rules()
    )

    assert [(i.state, i.start_ms // MINUTE) for i in intervals] == [
        (State.IDLE, 10), (State.RUN, 30),
    ]  # fmt: skip


def test_a_fault_stops_nothing_while_parts_still_come():
    count = _counts(60, 1.0, stop=30)
    fault = _samples(*[(m, float(m >= 10)) for m in range(60)])
    evidence = Evidence(_seen(count, fault), fault=fault, count=count)

    states = _states(evidence, until=60, rules=Rules(ideal_rate_per_h=60))

    assert states == [("run", 0, 30), ("down", 30, 60)]


def test_an_emergency_stop_is_down_and_set_up_comes_after_it_in_the_table():
    execution = _words(60, (0, "ACTIVE"), (20, "STOPPED"))
    mode = _words(60, (0, "AUTOMATIC"), (20, "SETUP"))
    emergency = _words(60, (0, "ARMED"), (40, "TRIGGERED"))

    assert _states(Evidence(execution.times, (execution, mode, emergency)), until=60) == [
        ("run", 0, 20),
        ("setup", 20, 40),
        ("down", 40, 60),
    ]


def test_a_break_is_planned_but_work_in_a_break_stays_running():
    state = _words(90, (0, "ACTIVE"), (30, "READY"), (70, "ACTIVE"))
    working = np.array([[0, 40], [60, 80]], dtype=np.int64) * MINUTE

    assert _states(Evidence(state.times, (state,)), until=90, working=working) == [
        ("run", 0, 30), ("idle", 30, 40), ("planned", 40, 60), ("idle", 60, 70), ("run", 70, 90),
    ]  # fmt: skip


def test_maintenance_is_planned_in_its_window_and_down_outside():
    state = _words(60, (0, "MAINTENANCE"))
    working = np.array([[20, 60]], dtype=np.int64) * MINUTE

    assert _states(Evidence(state.times, (state,)), until=60, working=working) == [
        ("planned", 0, 20), ("down", 20, 60),
    ]  # fmt: skip


def test_a_count_below_nine_tenths_of_the_ideal_rate_is_reduced_speed():
    count = Samples(
        np.arange(120, dtype=np.int64) * MINUTE,
        np.concatenate([np.arange(60.0), 59 + np.floor(np.arange(1, 61) * 0.7)]),
    )
    state = _words(120, (0, "ACTIVE"))

    intervals = state_intervals(
        Evidence(count.times, (state,), count=count),
        start_ms=0, end_ms=120 * MINUTE, rules=Rules(ideal_rate_per_h=60),
    )  # fmt: skip

    assert [i.state for i in intervals] == [State.RUN, State.SLOW]
    assert abs(intervals[1].start_ms / MINUTE - 60) <= 8
    assert intervals[0].ratio == pytest.approx(1.0, abs=0.05)
    assert intervals[1].ratio == pytest.approx(0.7, abs=0.06)


def test_full_speed_never_looks_slow_because_counts_are_whole():
    # 90 s a part read every minute: a plain count over five cycles would jump by a fifth.
    count = _counts(480, 60 / 90)
    state = _words(480, (0, "ACTIVE"))

    states = _states(
        Evidence(count.times, (state,), count=count), until=480, rules=Rules(ideal_rate_per_h=40)
    )

    assert states == [("run", 0, 480)]


def test_counts_alone_tell_running_from_idle_from_the_last_part_on():
    count = _counts(60, 1.0, stop=30)

    states = _states(Evidence(count.times, count=count), until=60, rules=Rules(ideal_rate_per_h=60))

    assert states == [("run", 0, 30), ("idle", 30, 60)]


def test_active_without_parts_for_ten_cycles_is_no_cycle():
    state = _words(60, (0, "ACTIVE"))
    count = _counts(60, 1.0, stop=30)

    states = _states(
        Evidence(state.times, (state,), count=count), until=60, rules=Rules(ideal_rate_per_h=60)
    )

    assert states == [("run", 0, 30), ("idle", 30, 60)]


def test_a_machine_that_is_stopped_between_two_parts_worked_until_then():
    state = _words(60, (0, "ACTIVE"), (31, "STOPPED"))
    fault = _samples(*[(m, float(m >= 31)) for m in range(60)])
    count = _counts(60, 60 / 90, stop=30)

    states = _states(
        Evidence(state.times, (state,), fault=fault, count=count),
        until=60,
        rules=Rules(ideal_rate_per_h=40),
    )

    assert states == [("run", 0, 31), ("down", 31, 60)]


def test_a_short_stop_is_folded_and_counted_and_a_longer_one_is_not():
    state = _words(40, (0, "ACTIVE"), (10, "INTERRUPTED"), (11, "ACTIVE"), (20, "READY"),
                   (22, "ACTIVE"))  # fmt: skip

    intervals = state_intervals(
        Evidence(state.times, (state,)), start_ms=0, end_ms=40 * MINUTE, rules=Rules()
    )

    # One minute is below the 120 s of a micro-stop, two minutes are a stop from the first second.
    assert [(i.state, i.start_ms // MINUTE, i.end_ms // MINUTE) for i in intervals] == [
        (State.RUN, 0, 20), (State.IDLE, 20, 22), (State.RUN, 22, 40),
    ]  # fmt: skip
    assert (intervals[0].n_micro_stops, intervals[0].micro_stop_ms) == (1, MINUTE)


def test_a_stop_that_is_still_open_is_shown_at_once():
    state = _words(21, (0, "ACTIVE"), (20, "READY"))

    assert _states(Evidence(state.times, (state,)), until=21) == [
        ("run", 0, 20), ("idle", 20, 21),
    ]  # fmt: skip


def test_a_pause_between_programs_is_work_up_to_the_limit_only():
    state = _words(60, (0, "ACTIVE"), (10, "PROGRAM_COMPLETED"), (12, "ACTIVE"), (30, "WAIT"),
                   (40, "ACTIVE"))  # fmt: skip

    assert _states(Evidence(state.times, (state,)), until=60) == [
        ("run", 0, 30), ("idle", 30, 40), ("run", 40, 60),
    ]  # fmt: skip


def test_the_stop_limit_grows_with_the_cycle():
    assert Rules().stop_limit_ms == 120_000
    assert Rules(ideal_rate_per_h=40).stop_limit_ms == (2 * 90 + 10) * 1000


def test_a_person_wins_over_signals_and_over_a_gap():
    state = _words(20, (0, "ACTIVE"))
    entries = [Entry(15 * MINUTE, 40 * MINUTE, State.SETUP)]

    assert _states(Evidence(state.times, (state,)), until=60, entries=entries) == [
        ("run", 0, 15), ("setup", 15, 40), ("nodata", 40, 60),
    ]  # fmt: skip


def test_a_stack_light_shows_red_before_green_and_green_before_amber():
    on, off = np.array([1.0, 1, 0, 0]), np.array([0.0, 1, 1, 0])

    cues = cues_of_lights(green=on, amber=np.ones(4), red=off)

    assert cues.tolist() == [Cue.CYCLING, Cue.DOWN, Cue.DOWN, Cue.WAITING]


def test_power_alone_tells_working_from_standing_ready():
    kilowatts = np.where(np.arange(60) < 30, 7.8, 1.1)
    power = Samples(np.arange(60, dtype=np.int64) * MINUTE, kilowatts)

    assert _states(Evidence(power.times, power=power), until=60) == [
        ("run", 0, 30), ("idle", 30, 60),
    ]  # fmt: skip


def test_power_on_one_level_is_work_and_no_power_is_idle():
    level = Samples(np.arange(30, dtype=np.int64) * MINUTE, 22 + np.sin(np.arange(30)))
    none = Samples(level.times, np.zeros(30))

    assert _states(Evidence(level.times, power=level), until=30) == [("run", 0, 30)]
    assert _states(Evidence(none.times, power=none), until=30) == [("idle", 0, 30)]


def test_a_speed_signal_gives_the_ratio_directly():
    speed = _samples(*[(m, 9_000.0 if m < 30 else 6_300.0) for m in range(60)])

    intervals = state_intervals(
        Evidence(speed.times, speed=speed), start_ms=0, end_ms=60 * MINUTE,
        rules=Rules(ideal_rate_per_h=9_000),
    )  # fmt: skip

    assert [i.state for i in intervals] == [State.RUN, State.SLOW]
    assert [i.ratio for i in intervals] == pytest.approx([1.0, 0.7])


def test_parts_counted_across_a_silence_say_nothing_about_speed():
    times = np.concatenate([np.arange(60), np.arange(90, 150)]).astype(np.int64) * MINUTE
    made = np.concatenate([np.arange(60.0), 75 + np.arange(60.0)])
    state = Samples(times, np.full(len(times), float(Cue.CYCLING)))
    count = Samples(times, made)

    states = _states(
        Evidence(times, (state,), count=count), until=150, rules=Rules(ideal_rate_per_h=60)
    )

    assert states == [("run", 0, 60), ("nodata", 60, 90), ("run", 90, 150)]


def test_a_machine_that_worked_until_the_silence_did_not_stop_before_it():
    count = _counts(60, 60 / 90)
    state = _words(60, (0, "ACTIVE"))

    states = _states(
        Evidence(count.times, (state,), count=count), until=120, rules=Rules(ideal_rate_per_h=40)
    )

    assert states == [("run", 0, 60), ("nodata", 60, 120)]


@st.composite
def _any_evidence(draw):
    minutes = draw(st.lists(st.integers(-30, 200), min_size=0, max_size=60, unique=True))
    times = np.array(sorted(minutes), dtype=np.int64) * 37_000
    cues = draw(
        st.lists(
            st.sampled_from([*map(float, Cue), float("nan")]),
            min_size=len(times), max_size=len(times),
        )
    )  # fmt: skip
    steps = draw(st.lists(st.integers(-5, 9), min_size=len(times), max_size=len(times)))
    faults = draw(st.lists(st.booleans(), min_size=len(times), max_size=len(times)))
    links = draw(st.sets(st.sampled_from(["cues", "count", "fault", "power"])))
    signals = {
        "count": Samples(times, np.abs(np.cumsum(np.array(steps, dtype=float)))),
        "fault": Samples(times, np.array(faults, dtype=float)),
        "power": Samples(times, np.abs(np.array(steps, dtype=float))),
    }
    return Evidence(
        seen=times,
        cues=(Samples(times, np.array(cues)),) if "cues" in links else (),
        **{name: signals[name] for name in links - {"cues"}},
    )


@settings(max_examples=100, deadline=None)
@given(
    evidence=_any_evidence(),
    start=st.integers(0, 3 * HOUR),
    length=st.integers(1, 3 * HOUR),
    ideal=st.sampled_from([None, 20.0, 120.0]),
    breaks=st.lists(st.integers(0, 120), max_size=6, unique=True),
    entries=st.lists(st.tuples(st.integers(0, 3 * HOUR), st.integers(1, HOUR)), max_size=3),
)
def test_states_partition_time_without_hole_or_overlap(
    evidence, start, length, ideal, breaks, entries
):
    cuts = np.array(sorted(breaks)[: len(breaks) // 2 * 2], dtype=np.int64).reshape(-1, 2)
    said = [Entry(at, at + n, State.PLANNED) for at, n in entries]

    intervals = state_intervals(
        evidence, start_ms=start, end_ms=start + length, rules=Rules(ideal_rate_per_h=ideal),
        working=cuts * MINUTE, entries=said,
    )  # fmt: skip

    assert (intervals[0].start_ms, intervals[-1].end_ms) == (start, start + length)
    assert all(a.end_ms == b.start_ms for a, b in pairwise(intervals))
    assert all(i.end_ms > i.start_ms for i in intervals)
    assert all(i.micro_stop_ms <= i.length_ms or i.start_ms == start for i in intervals)


@settings(max_examples=30, deadline=None)
@given(evidence=_any_evidence(), cut=st.integers(1, 2 * HOUR - 1))
def test_a_period_cut_in_two_keeps_its_states(evidence, cut):
    def at(start: int, end: int, instants: list[int]) -> list[str]:
        found = state_intervals(evidence, start_ms=start, end_ms=end, rules=Rules())
        return [next(i.state for i in found if i.start_ms <= t < i.end_ms) for t in instants]

    late = [t for t in range(0, 2 * HOUR, 97_000) if t >= cut]

    assert at(0, 2 * HOUR, late) == at(cut, 2 * HOUR, late)
