"""Which pieces and moments are looked at, and how often a lot is accepted."""

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from production import sampling
from production.sampling import EVERY_MINUTES, EVERY_NTH, EVERY_PART, PER_LOT, Rule
from tests.production.quality.conftest import NOON

numbers = st.integers(1, 60)


@given(lot_size=numbers)
def test_every_part_is_every_part(lot_size):
    assert sampling.due_pieces(Rule(EVERY_PART), lot_size=lot_size) == list(range(1, lot_size + 1))


@given(n=numbers, lots=st.lists(numbers, min_size=1, max_size=8))
def test_of_n_parts_in_a_row_one_is_looked_at_whatever_the_lots(n, lots):
    rule, before, seen = Rule(EVERY_NTH, n), 0, []
    for size in lots:
        due = sampling.due_pieces(rule, lot_size=size, before=before)
        assert len(due) == sampling.n_due(rule, lot_size=size, before=before)
        seen += [before + piece for piece in due]
        before += size

    assert seen == list(range(1, before + 1, n))


@given(n=numbers, lot_size=numbers)
def test_n_of_a_lot_are_n_or_all_and_lie_apart(n, lot_size):
    rule = Rule(PER_LOT, n)
    due = sampling.due_pieces(rule, lot_size=lot_size)

    assert len(due) == min(n, lot_size) == sampling.n_due(rule, lot_size=lot_size)
    gaps = [b - a for a, b in itertools.pairwise(due)]
    assert not gaps or max(gaps) - min(gaps) <= 1


@given(n=st.integers(1, 240), minutes=st.integers(0, 3_000), told=st.integers(0, 40))
def test_moments_lie_n_minutes_apart_and_none_is_told_twice(n, minutes, told):
    rule, until = Rule(EVERY_MINUTES, n), NOON + timedelta(minutes=minutes)
    every = sampling.due_moments(rule, started_at=NOON, last_at=None, until=until, at_most=10_000)
    last = every[min(told, len(every)) - 1] if every and told else None
    rest = sampling.due_moments(rule, started_at=NOON, last_at=last, until=until, at_most=10_000)

    assert every == [NOON + timedelta(minutes=n * k) for k in range(1, minutes // n + 1)]
    assert rest == [moment for moment in every if last is None or moment > last]


def test_after_a_long_silence_only_the_newest_moments_are_told():
    rule = Rule(EVERY_MINUTES, 10)
    until = NOON + timedelta(days=3)
    moments = sampling.due_moments(rule, started_at=NOON, last_at=None, until=until, at_most=3)

    assert moments == [until - timedelta(minutes=m) for m in (20, 10, 0)]


def test_the_chance_of_acceptance_of_a_sample_of_89_with_two_defective():
    # Montgomery, 7th ed., section 15.2.2, table 15.2: n = 89, c = 2.
    book = {0.005: 0.9897, 0.01: 0.9397, 0.02: 0.7366, 0.03: 0.4985, 0.05: 0.1721}
    for rate, chance in book.items():
        found = sampling.acceptance_probability(rate, n=89, acceptance_number=2)
        assert found == pytest.approx(chance, abs=5e-4)


@given(n=st.integers(1, 300), c=st.integers(0, 12), rate=st.floats(0, 1))
def test_the_chance_is_that_of_the_binomial_distribution(n, c, rate):
    found = sampling.acceptance_probability(rate, n=n, acceptance_number=c)

    assert found == pytest.approx(float(binom.cdf(c, n, rate)), abs=1e-9)


def test_a_small_lot_is_drawn_from_without_putting_back():
    # 10 pieces, 2 defective, 3 drawn, none accepted: 8 * 7 * 6 / (10 * 9 * 8).
    found = sampling.acceptance_probability(0.2, n=3, acceptance_number=0, lot_size=10)

    assert found == pytest.approx(336 / 720)


@given(n=st.integers(1, 400), c=st.integers(0, 20), low=st.floats(0, 1), high=st.floats(0, 1))
def test_worse_lots_are_never_accepted_more_often(n, c, low, high):
    low, high = sorted((low, high))
    chances = [
        sampling.acceptance_probability(rate, n=n, acceptance_number=c) for rate in (low, high)
    ]

    assert 1 + 1e-9 >= chances[0] >= chances[1] - 1e-9 >= -2e-9


@given(n=st.integers(1, 200), c=st.integers(0, 10), lot_size=st.integers(200, 400))
def test_all_good_is_accepted_and_all_bad_is_not(n, c, lot_size):
    def chance(rate):
        return sampling.acceptance_probability(rate, n=n, acceptance_number=c, lot_size=lot_size)

    assert (chance(0.0), chance(1.0)) == (1.0, 1.0 if c >= n else 0.0)


@given(n=st.integers(2, 300), probability=st.sampled_from([0.95, 0.5, 0.1]))
def test_the_rate_at_a_chance_is_found_again(n, probability):
    rate = sampling.rate_accepted_at(probability, n=n, acceptance_number=1)

    assert rate is not None
    found = sampling.acceptance_probability(rate, n=n, acceptance_number=1)
    assert found == pytest.approx(probability, abs=1e-6)
    assert sampling.rate_accepted_at(probability, n=n, acceptance_number=n) is None
