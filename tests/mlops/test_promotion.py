import numpy as np
import pytest

from mlops import promotion
from mlops.promotion import Outcome, compare, sign_flip


def cases(*losses):
    return {f"case {i}": loss for i, loss in enumerate(losses)}


def one_machine(losses):
    return dict.fromkeys(losses, "Mill 1")


def test_a_sign_flip_of_five_gains_is_one_in_thirty_two():
    """All 2^5 flips are as likely; only the observed one reaches its sum."""
    assert sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == pytest.approx(1 / 32)


def test_gains_that_cancel_are_no_gain():
    assert sign_flip(np.array([1.0, -1.0])) == pytest.approx(3 / 4)
    assert sign_flip(np.zeros(6)) == 1.0


def test_drawn_flips_agree_with_the_exact_ones():
    gains = np.array([0.3, 0.1, -0.2, 0.4, 0.2, -0.1, 0.5, 0.2, 0.1, -0.3, 0.2, 0.1])
    exact = sign_flip(gains)

    drawn = sign_flip(np.append(gains, 0.0))  # 13 cases: no longer exact; a zero changes nothing

    assert drawn == pytest.approx(exact, abs=0.02)


def test_five_cases_that_all_gain_are_enough():
    challenger, other = cases(1, 1, 1, 1, 1), cases(2, 2, 2, 2, 2.5)

    found = compare(challenger, other, one_machine(other))

    assert found.outcome == Outcome.BETTER
    assert found.n_cases == 5
    assert found.gain == pytest.approx(1.1)
    assert found.low <= found.gain <= found.high


def test_four_cases_are_not_enough_however_large_the_gain():
    found = compare(cases(0, 0, 0, 0), cases(9, 9, 9, 9), one_machine(cases(0, 0, 0, 0)))

    assert (found.outcome, found.n_cases) == (Outcome.UNCLEAR, 4)


def test_what_loses_beyond_chance_is_worse():
    assert (
        compare(
            cases(3, 3, 3, 3, 3, 3), cases(1, 1, 1, 2, 1, 1), one_machine(cases(*[1] * 6))
        ).outcome
        == Outcome.WORSE
    )


def test_better_on_the_whole_but_worse_on_one_machine_is_not_better():
    losses = {f"{m} {i}": (1.0 if m == "Mill 1" else 6.0) for m in MILLS for i in range(8)}
    other = {key: (4.0 if key.startswith("Mill 1") else 5.0) for key in losses}
    slices = {key: key.rpartition(" ")[0] for key in losses}

    found = compare(losses, other, slices)

    assert found.gain > 0
    assert found.worse_slices == ("Mill 2",)
    assert found.outcome != Outcome.BETTER


MILLS = ("Mill 1", "Mill 2")


def test_only_cases_that_both_were_judged_on_count():
    found = compare(cases(1, 1, 1, 1, 1, 1), {"case 0": 2.0, "elsewhere": 9.0}, {"case 0": ""})

    assert (found.n_cases, found.loss_of_other) == (1, 2.0)


def test_two_models_alike_are_rarely_called_different():
    """At a level of 5 % each way, on cases of pure noise."""
    rng = np.random.default_rng(3)
    n_called = 0
    for _ in range(200):
        mine, other = cases(*rng.gamma(2, 1, 10)), cases(*rng.gamma(2, 1, 10))
        n_called += compare(mine, other, one_machine(mine)).outcome != Outcome.UNCLEAR

    assert n_called <= 30  # 20 expected


def test_intervals_that_miss_more_than_they_promise_are_found():
    assert promotion.too_rarely_right(2, 10, 0.8) < 0.001
    assert promotion.too_rarely_right(8, 10, 0.8) > 0.5
    assert promotion.too_rarely_right(0, 0, 0.8) == 1.0
