from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops import history
from mlops.history import Recording, Span

T0 = datetime(2026, 11, 2, tzinfo=UTC)
MS0 = int(T0.timestamp() * 1000)
MINUTE = 60_000


def recording(times, *, running=None, meter=None, **columns):
    return Recording(
        np.asarray(times, np.int64) + MS0,
        {k: np.asarray(v, float) for k, v in columns.items()},
        None if meter is None else np.asarray(meter, float),
        None if running is None else np.asarray(running),
    )


def days(n):
    return T0 + timedelta(days=n)


def test_a_life_runs_from_being_put_right_to_the_next_failure():
    found = history.spans(
        commissioned_at=days(0), failures=[(days(3), days(4)), (days(9), days(10))]
    )

    assert found == [Span(days(0), days(3)), Span(days(4), days(9)), Span(days(10), None)]


def test_a_machine_that_is_down_has_no_life_that_goes_on():
    assert history.spans(commissioned_at=None, failures=[(days(3), None)]) == [Span(None, days(3))]


def test_a_second_record_of_the_same_breakdown_is_no_life():
    found = history.spans(commissioned_at=days(0), failures=[(days(3), None), (days(3), days(4))])

    assert found == [Span(days(0), days(3)), Span(days(4), None)]


def test_hours_count_while_the_machine_is_at_work():
    usage = history.usage_of(
        recording([0, 30 * MINUTE, 60 * MINUTE, 90 * MINUTE], running=[True, False, True, True])
    )

    assert usage.tolist() == [0.0, 0.5, 0.5, 1.0]


def test_a_long_silence_is_not_counted_as_work():
    usage = history.usage_of(recording([0, MINUTE, 2 * MINUTE, 600 * MINUTE, 601 * MINUTE]))

    assert usage[-1] == pytest.approx(3 / 60)


def test_a_meter_that_was_reset_goes_on_from_where_it_was():
    usage = history.usage_of(recording(range(5), meter=[100, 104, np.nan, 0, 3]))

    assert usage.tolist() == [0.0, 4.0, 4.0, 4.0, 7.0]


def test_what_counts_on_through_a_repair_is_a_counter():
    part = recording(
        [0, MINUTE, 2 * MINUTE, 3 * MINUTE],
        run_hours=[5, np.nan, 6, 7], wear_mm=[0, 1, 0, 1], fixed=[3, 3, 3, 3],
    )  # fmt: skip

    assert history.counters(part, ends=[T0 + timedelta(minutes=1)]) == {"run_hours"}
    # Without a repair in between, a counter cannot be told from wear.
    assert history.counters(part, ends=[T0 + timedelta(minutes=9)]) == set()


@pytest.mark.parametrize("word", ["ACTIVE", "Running", "execute "])
def test_words_of_controls_are_understood(word):
    running = history.running_from_words([None, word, None, "STOPPED", None])

    assert running is not None
    assert running.tolist() == [False, True, True, False, False]


def test_words_that_nobody_understands_do_not_hide_the_readings():
    assert history.running_from_words(["OBEN", "UNTEN"]) is None


def test_a_life_is_made_of_what_was_reported_at_work():
    part = recording(
        [i * 30 * MINUTE for i in range(6)],
        running=[True, True, False, False, True, True],
        vib=[1, 3, 99, 99, 5, 7],
    )

    life = history.life_of(part, signals=["vib", "heat"], step=1.0, key="k", group="g", failed=True)

    assert life is not None
    assert life.usage.tolist() == [0.0, 1.0]
    assert life.values[:, 0].tolist() == [2.0, 6.0]
    assert np.isnan(life.values[:, 1]).all()


def test_a_machine_that_never_worked_has_no_life():
    part = recording([0, MINUTE], running=[False, False], vib=[1, 1])

    assert history.life_of(part, signals=["vib"], step=1.0, key="k", group="g", failed=True) is None


def test_short_lives_are_cut_finer_than_an_hour():
    assert history.natural_step([np.array([0.0, 90.0])], is_metered=False) == 0.63
    assert history.natural_step([np.array([0.0, 900.0])], is_metered=False) == 1.0
    assert history.natural_step([np.array([0.0, 5.0, 10.0])], is_metered=True) == 5.0
