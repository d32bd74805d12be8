"""Money to the minor unit: by hand, and against a reference that counts single readings."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import charges, counting, money, plans
from billing.charges import Usage
from billing.counting import MachineHour, MonthFacts
from billing.forecast import forecast_days
from billing.periods import Span, Term, month_start, next_full_hour, next_month, spans_of_month
from billing.plans import Item, Meter
from billing.sandbox import pricing

NOV = datetime(2026, 11, 1, tzinfo=UTC)
DEC = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
M = 1_000_000
READING_PRICE = plans.WORKSHOP.unit_price(Item.READINGS, "EUR")


# By hand, at 25 minor units a million: 0.000025 a reading.
@pytest.mark.parametrize(
    ("n_extra", "expected"),
    [
        (0, 0),
        (-5, 0),
        (M, 25),
        (165 * M, 4125),  # the picture of the page: 41.25
        (20_000, 1),  # 0.5 rounds up
        (19_999, 0),  # 0.499975
        (59_999, 1),  # 1.499975
        (60_000, 2),  # 1.5 rounds up, not to even
        (100_000, 3),  # 2.5 rounds up, not to even
    ],
)
def test_extra_readings_are_charged_pro_rata_and_rounded_half_up_once(n_extra, expected):
    assert money.line_amount(n_extra, READING_PRICE) == expected


def test_twelve_machines_on_workshop_cost_what_the_price_list_says():
    used = usage(machines=12, readings=405 * M, included=240 * M, images=11_860)

    bill = charges.charge(used, plan=plans.WORKSHOP, currency="EUR")

    assert bill.items == {
        Item.MACHINES: 34_800,
        Item.READINGS: 4_125,
        Item.IMAGES: 2_744,  # 6,860 beyond 5,000 at 4.00 a thousand
        Item.PLANNING_MINUTES: 0,
        Item.ARCHIVE_MB: 0,
    }
    assert bill.total == 41_669


def usage(*, machines: int, readings: int, included: int, images: int = 0) -> Usage:
    return Usage(
        {
            Meter.ACTIVE_MACHINES: machines,
            Meter.READINGS: readings,
            Meter.INCLUDED_READINGS: included,
            Meter.IMAGES: images,
            Meter.INCLUDED_IMAGES: 5_000 if images else 0,
        }
    )


@pytest.mark.parametrize(("currency", "price"), [("EUR", 2900), ("USD", 3200), ("GBP", 2500)])
def test_each_currency_has_prices_of_its_own(currency, price):
    bill = charges.charge(
        usage(machines=3, readings=0, included=0), plan=plans.WORKSHOP, currency=currency
    )

    assert bill.total == 3 * price


def test_an_older_price_list_stays_with_whoever_has_it():
    old = plans.plan("workshop", 1)
    used = usage(machines=1, readings=0, included=0, images=10**6)

    assert charges.charge(used, plan=old, currency="EUR").total == 2900
    assert charges.charge(used, plan=plans.WORKSHOP, currency="EUR").total > 2900


def test_start_costs_nothing_whatever_is_used():
    used = usage(machines=2, readings=10**12, included=0, images=10**6)

    assert charges.charge(used, plan=plans.START, currency="EUR").total == 0


def test_an_unused_allowance_is_not_paid_out():
    used = usage(machines=1, readings=5, included=20 * M)
    bill = charges.charge(used, plan=plans.WORKSHOP, currency="EUR")

    assert bill.total == 2900


@given(st.integers(0, 10**13), st.integers(0, 10**6), st.sampled_from([3, 6, 12]))
def test_a_line_is_the_exact_product_rounded_half_up(quantity, mantissa, places):
    price = Decimal(mantissa).scaleb(-places)

    exact = Fraction(mantissa * quantity, 10**places)

    amount = money.line_amount(quantity, price)
    assert -Fraction(1, 2) < Fraction(amount) - exact <= Fraction(1, 2)


@given(st.integers(0, 10**12))
def test_our_bill_and_stripe_s_are_rounded_alike(quantity):
    price = {"billing_scheme": "per_unit", "unit_amount_decimal": "0.000025"}

    assert pricing.amount(price, quantity) == money.line_amount(quantity, READING_PRICE)


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
def test_the_parts_of_an_amount_add_up_to_it_and_are_within_a_unit_of_their_share(amount, weights):
    parts = money.split(amount, weights)

    assert sum(parts) == amount
    if sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - Fraction(amount * weight, sum(weights))) < 1


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(1, 10**9), min_size=1),
    st.sampled_from([plans.WORKSHOP, plans.PLANT]),
)
def test_the_costs_of_the_machines_add_up_to_the_bill(readings, plan):
    n = len(readings)
    used = usage(machines=n, readings=sum(readings.values()), included=n * M, images=6_000)
    bill = charges.charge(used, plan=plan, currency="EUR")

    costs = charges.cost_by_source(
        {Item.MACHINES: readings, Item.READINGS: readings, Item.IMAGES: {min(readings): 6_000}},
        bill,
        order=sorted(readings),
    )

    assert sum(costs.values()) == bill.total


# -- counting --------------------------------------------------------------------------------------
WORKSHOP = Term(NOV, "workshop", 2)
WORKSHOP_NOV = [Span(NOV, DEC, WORKSHOP)]


def of_readings(facts):
    return MonthFacts(readings=facts)


def test_a_machine_counts_once_a_month_in_its_first_hour():
    facts = [MachineHour(NOV + i * HOUR, "m1", 10) for i in (5, 3, 9)]

    found = counting.quantities(of_readings(facts), WORKSHOP_NOV)

    assert found == {
        Meter.ACTIVE_MACHINES: {NOV + 3 * HOUR: 1},
        Meter.INCLUDED_READINGS: {NOV + 3 * HOUR: 20 * M},
        Meter.READINGS: {NOV + i * HOUR: 10 for i in (3, 5, 9)},
    }


def test_an_hour_with_only_refused_readings_makes_no_machine_active():
    assert counting.quantities(of_readings([MachineHour(NOV, "m1", 0)]), WORKSHOP_NOV) == {}


hours = st.integers(0, 719).map(lambda i: NOV + i * HOUR)
facts_of_a_month = st.lists(
    st.builds(MachineHour, hours, st.sampled_from("abcd"), st.integers(0, 50)), max_size=40
)


@given(facts_of_a_month, st.lists(facts_of_a_month, max_size=4))
def test_any_sequence_of_recounts_ends_in_what_one_count_of_all_says(first, later):
    """The reference: sets and sums over all facts, without hours."""
    ledger: dict = defaultdict(lambda: defaultdict(int))
    known: list = []
    for batch in (first, *later):
        known += batch
        wanted = counting.quantities(of_readings(known), WORKSHOP_NOV)
        for (hour, meter), change in counting.corrections(wanted, ledger).items():
            ledger[meter][hour] += change

    totals = {m: sum(ledger[m].values()) for m in Meter}
    active = {f.source for f in known if f.n_readings}
    counted = (Meter.ACTIVE_MACHINES, Meter.READINGS, Meter.INCLUDED_READINGS)
    assert {m: n for m, n in totals.items() if n or m in counted} == {
        Meter.ACTIVE_MACHINES: len(active),
        Meter.READINGS: sum(f.n_readings for f in known),
        Meter.INCLUDED_READINGS: 20 * M * len(active),
    }


def test_a_month_is_cut_where_the_plan_changes():
    noon = datetime(2026, 11, 17, 12, tzinfo=UTC)

    before, after = Term(NOV, "start", 2), Term(noon, "workshop", 2)

    spans = spans_of_month(NOV, [after], default=before)

    assert spans == [Span(NOV, noon, before), Span(noon, DEC, after)]
    assert spans_of_month(DEC, [after], default=before) == [
        Span(DEC, datetime(2027, 1, 1, tzinfo=UTC), after)
    ]


def test_months_and_hours_are_those_of_utc():
    late = datetime.fromisoformat("2026-12-01T00:30:00+02:00")

    assert (month_start(late), next_month(late)) == (NOV, DEC)
    assert next_full_hour(late) == datetime(2026, 11, 30, 23, tzinfo=UTC)


# -- forecast --------------------------------------------------------------------------------------
def test_equal_days_are_forecast_exactly_and_without_a_range():
    by_day = {date(2026, 11, d): 1000 for d in range(1, 17)}

    forecast = forecast_days(by_day, at=datetime(2026, 11, 17, tzinfo=UTC), end=DEC)

    assert (forecast.end.expected, forecast.end.low, forecast.end.high) == (14_000, 14_000, 14_000)
    assert forecast.by_weekday


def test_weekends_off_are_known_after_two_weeks():
    by_day = {
        day: 0 if day.weekday() >= 5 else 100
        for day in (date(2026, 10, 12) + timedelta(days=i) for i in range(35))
    }

    forecast = forecast_days(by_day, at=datetime(2026, 11, 16, tzinfo=UTC), end=DEC)

    assert forecast.end.expected == 1100  # 11 working days from Monday 16 to Monday 30 November
    assert forecast.end.high == forecast.end.low


def test_few_days_make_a_wide_range():
    by_day = {date(2026, 11, 1): 100, date(2026, 11, 2): 100}

    forecast = forecast_days(by_day, at=datetime(2026, 11, 3, tzinfo=UTC), end=DEC)

    assert forecast.end.low < 0.1 * forecast.end.expected
    assert forecast.end.high > 1.5 * forecast.end.expected


def test_the_range_holds_about_four_times_in_five():
    import random

    chance, held = random.Random(7), 0
    for _ in range(400):
        days = {date(2026, 10, 1) + timedelta(days=i): max(0, round(chance.gauss(1000, 200)))
                for i in range(61)}  # fmt: skip
        known = {d: n for d, n in days.items() if d < date(2026, 11, 11)}
        forecast = forecast_days(known, at=datetime(2026, 11, 11, tzinfo=UTC), end=DEC)
        truth = sum(n for d, n in days.items() if d >= date(2026, 11, 11))
        held += forecast.end.low <= truth <= forecast.end.high
    assert 0.74 <= held / 400 <= 0.88
