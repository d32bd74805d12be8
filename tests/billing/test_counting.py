"""The count of a month against a reference that knows the written rules and not the code."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing import counting, plans
from billing.counting import MachineHour, MonthFacts, Rules, SourceHour, Stretch
from billing.periods import Span, Term, spans_of_month
from billing.plans import Item, Meter

M = 1_000_000
NOV = datetime(2026, 11, 1, tzinfo=UTC)
DEC = datetime(2026, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
START = Term(datetime(2000, 1, 1, tzinfo=UTC), "start", plans.VERSION)
# From the price list: readings a machine, images, planning minutes, MB of the archive.
INCLUDED = {
    "start": (0, 0, 0, 0),
    "workshop": (20 * M, 5_000, 300, 50_000),
    "plant": (60 * M, 20_000, 1_200, 200_000),
}


@dataclass
class Reference:
    """Counts stretch by stretch, in plain sums."""

    facts: MonthFacts
    rules: Rules
    known: set[str] = field(default_factory=set)
    largest: int = 0
    charged: int = 0

    def count(self, span: Span) -> dict[str, int]:
        """Return what a stretch must hold of each meter; meters at zero are left out."""
        term, carried = span.term, span.carried
        if carried is None:
            self.known, self.largest = set(), 0
        inside = [f for f in self.facts.readings if span.start <= f.hour < span.end]
        inside = [f for f in inside if f.n_readings > 0]
        new = {f.source for f in inside} - self.known
        self.known |= new
        per_machine, *allowances = INCLUDED[term.plan]
        sums = {"active_machines": len(new), "readings": sum(f.n_readings for f in inside)}
        if inside:
            along = (carried or {}).get("readings", 0)
            sums["included_readings"] = along + len(new) * per_machine
            if term.plan != "start":
                sums["prepaid_machines"] = self.prepaid(span)
        used = [self.used(self.facts.images, span), self.used(self.facts.planning_minutes, span)]
        used.append(self.growth(span))
        for name, n, allowance in zip(
            ("images", "planning_minutes", "archive_mb"), used, allowances, strict=True
        ):
            sums[name] = n
            if n:
                sums[f"included_{name}"] = allowance if carried is None else carried.get(name, 0)
        if inside and term.plan != "start" and not term.is_trial:
            sums["held_readings"] = self.held(inside, sums["included_readings"])
        return {name: n for name, n in sums.items() if n}

    def prepaid(self, span: Span) -> int:
        """A new count takes off what is paid at its end; one that goes on, what is added."""
        in_force = [n for at, n in sorted(self.rules.prepaid) if at < span.end]
        before = [n for at, n in sorted(self.rules.prepaid) if at < span.start]
        end = in_force[-1] if in_force else 0
        if span.carried is None:
            return end
        return span.carried.get("machines", 0) + end - (before[-1] if before else 0)

    def used(self, rows: Sequence[SourceHour], span: Span) -> int:
        return sum(max(0, r.n) for r in rows if span.start <= r.hour < span.end)

    def growth(self, span: Span) -> int:
        """By how much the archive outgrew what was counted of it before."""
        before = [n for at, n in self.facts.archive if at < span.start][-1:]
        sizes = before + [n for at, n in self.facts.archive if span.start <= at < span.end]
        largest = max((-(-n // 1_000_000) for n in sizes), default=0)
        growth = max(0, largest - self.largest)
        self.largest += growth
        return growth

    def held(self, inside: list[MachineHour], included: int) -> int:
        gone = sum(f.n_readings for f in inside if f.hour in self.rules.given_up)
        extra = max(0, sum(f.n_readings for f in inside) - gone - included)
        cap = self.rules.max_extra_readings
        charged = extra if cap is None else min(extra, max(0, cap - self.charged))
        self.charged += charged
        return gone + extra - charged


hours = st.integers(0, 12).map(lambda h: NOV + h * HOUR)
carried_along = st.none() | st.fixed_dictionaries(
    {
        "readings": st.integers(0, 70 * M), "images": st.integers(0, 20_000),
        "planning_minutes": st.integers(0, 99), "archive_mb": st.integers(0, 99),
        "machines": st.integers(0, 3),
    }
)  # fmt: skip
sources = st.sampled_from(["machine:a", "machine:b", "device:1"])
rows = st.lists(st.builds(SourceHour, hours, sources, st.integers(0, 9_000)), max_size=6)
readings = st.lists(st.builds(MachineHour, hours, sources, st.integers(0, 50 * M)), max_size=12)
months = st.builds(
    MonthFacts,
    readings=readings,
    images=rows,
    planning_minutes=rows,
    archive=st.dictionaries(hours, st.integers(0, 10**11), max_size=5).map(
        lambda d: sorted(d.items())
    ),
)
agreed = st.builds(
    Rules,
    prepaid=st.dictionaries(hours, st.integers(0, 4), max_size=3).map(lambda d: sorted(d.items())),
    max_extra_readings=st.none() | st.integers(0, 60 * M),
    given_up=st.frozensets(hours, max_size=3),
)


@st.composite
def stretches(draw: st.DrawFn) -> list[Span]:
    """A month cut by up to three terms; allowances go along between paid plans only."""
    starts = sorted(draw(st.sets(hours, max_size=3)))
    terms: list[Term] = []
    for start in starts:
        plan, is_trial = draw(st.sampled_from(list(INCLUDED))), draw(st.booleans())
        before = terms[-1] if terms else START
        both_paid = before.plan != "start" and plan != "start" and not is_trial
        along = draw(carried_along) if both_paid and not before.is_trial else None
        terms.append(Term(start, plan, plans.VERSION, is_trial and plan != "start", along))
    return spans_of_month(NOV, terms, default=START)


def of_span(found: counting.Quantities, span: Span) -> dict[str, int]:
    sums: dict[str, int] = {}
    for meter, by_hour in found.items():
        sums[meter] = sum(n for hour, n in by_hour.items() if span.start <= hour < span.end)
    return {meter: n for meter, n in sums.items() if n}


@settings(max_examples=400, deadline=None)
@given(months, stretches(), agreed)
def test_every_stretch_holds_what_the_rules_say(facts, spans, rules):
    found = counting.quantities(facts, spans, rules=rules)

    reference = Reference(facts, rules)
    assert [of_span(found, s) for s in spans] == [reference.count(s) for s in spans]


@settings(max_examples=300, deadline=None)
@given(months, stretches(), agreed)
def test_no_more_is_charged_in_a_month_than_the_cap_and_nothing_is_lost(facts, spans, rules):
    found = counting.quantities(facts, spans, rules=rules)

    charged = 0
    for span in spans:
        sums = of_span(found, span)
        used, held = sums.get("readings", 0), sums.get("held_readings", 0)
        assert 0 <= held <= used
        if span.term.plan != "start" and not span.term.is_trial:
            charged += max(0, used - held - sums.get("included_readings", 0))
    assert rules.max_extra_readings is None or charged <= rules.max_extra_readings


@settings(max_examples=300, deadline=None)
@given(months, stretches(), agreed)
def test_what_is_held_are_the_latest_readings_of_a_stretch(facts, spans, rules):
    found = counting.quantities(facts, spans, rules=rules)

    for span in spans:
        free_hours = [
            (n, found.get(Meter.HELD_READINGS, {}).get(hour, 0))
            for hour, n in sorted(of_meter(found, Meter.READINGS, span))
            if hour not in rules.given_up
        ]
        first = next((i for i, (_n, held) in enumerate(free_hours) if held), len(free_hours))
        assert all(n == held for n, held in free_hours[first + 1 :])


def of_meter(
    found: counting.Quantities, meter: Meter, span: Span
) -> Iterator[tuple[datetime, int]]:
    for hour, n in found.get(meter, {}).items():
        if span.start <= hour < span.end:
            yield hour, n


@settings(max_examples=200, deadline=None)
@given(months, stretches(), agreed)
def test_the_order_of_the_facts_changes_nothing(facts, spans, rules):
    turned = MonthFacts(*(list(reversed(getattr(facts, name))) for name in facts.__slots__))

    assert counting.quantities(turned, spans, rules=rules) == counting.quantities(
        facts, spans, rules=rules
    )


# -- by hand ---------------------------------------------------------------------------------------
WORKSHOP = [Span(NOV, DEC, Term(NOV, "workshop", plans.VERSION))]


def of_readings(*rows: tuple[int, int]) -> MonthFacts:
    return MonthFacts(readings=[MachineHour(NOV + h * HOUR, "machine:a", n) for h, n in rows])


def held(found: counting.Quantities) -> dict[int, int]:
    return {(h - NOV) // HOUR: n for h, n in found.get(Meter.HELD_READINGS, {}).items()}


# By hand: 20 M included, 5 M allowed; of 15 + 8 + 4 + 1 the last 3 M lie beyond.
def test_an_hour_may_be_held_in_part():
    facts = of_readings((0, 15 * M), (1, 8 * M), (2, 4 * M), (3, M))

    found = counting.quantities(facts, WORKSHOP, rules=Rules(max_extra_readings=5 * M))

    assert held(found) == {3: M, 2: 2 * M}


# By hand: hour 2 is gone, so hour 3 is charged in its place when the cap is raised by 1 M.
def test_what_was_given_up_stays_held_when_the_cap_is_raised():
    facts = of_readings((0, 20 * M), (2, M), (3, M), (4, M))
    rules = Rules(max_extra_readings=M, given_up={NOV + 2 * HOUR})

    assert held(counting.quantities(facts, WORKSHOP, rules=rules)) == {2: M, 4: M}
    no_cap = Rules(given_up={NOV + 2 * HOUR})
    assert held(counting.quantities(facts, WORKSHOP, rules=no_cap)) == {2: M}


# By hand: paid until the 3rd hour, then Start, then paid again: the cap is one for the month.
def test_a_cap_is_one_for_the_month_also_where_the_counting_begins_anew():
    terms = [
        Term(NOV, "workshop", plans.VERSION),
        Term(NOV + 3 * HOUR, "start", plans.VERSION),
        Term(NOV + 6 * HOUR, "workshop", plans.VERSION),
    ]
    facts = of_readings((0, 25 * M), (4, M), (7, 25 * M))

    found = counting.quantities(
        facts, spans_of_month(NOV, terms, default=START), rules=Rules(max_extra_readings=6 * M)
    )

    assert held(found) == {7: 4 * M}


# By hand: the archive holds 10 MB when the month begins and 4 MB from its first hour on, so that
# is what the plan that begins at noon finds.
def test_the_archive_counts_with_its_largest_size_under_a_plan():
    terms = [Term(NOV, "workshop", plans.VERSION), Term(NOV + 12 * HOUR, "plant", plans.VERSION)]
    facts = MonthFacts(archive=[(NOV, 10 * M), (NOV, 4 * M)])

    found = counting.quantities(facts, spans_of_month(NOV, terms, default=START))

    assert found[Meter.ARCHIVE_MB] == {NOV: 10, NOV + 12 * HOUR: 4}


def test_machines_paid_from_the_hour_of_a_larger_plan_on_are_taken_off():
    span = Span(NOV + HOUR, DEC, Term(NOV + HOUR, "plant", plans.VERSION, carried={"machines": 1}))

    found = counting.quantities(
        of_readings((2, 1)), [span], rules=Rules(prepaid=[(NOV, 2), (NOV + HOUR, 5)])
    )

    assert found[Meter.PREPAID_MACHINES] == {NOV + 2 * HOUR: 1 + 3}


def stretch(written=None, *, carried=None, n_machines=0, n_prepaid=0) -> Stretch:
    return Stretch(plans.WORKSHOP, written or {}, carried, n_machines, n_prepaid)


@pytest.mark.parametrize(
    ("before", "item", "goes_along"),
    [
        # 5 of 20 M used by one machine, which brings 40 M more.
        (
            stretch({Meter.READINGS: 5 * M, Meter.INCLUDED_READINGS: 20 * M}, n_machines=1),
            Item.READINGS,
            55 * M,
        ),
        # More used than included: only the difference.
        (
            stretch({Meter.READINGS: 30 * M, Meter.INCLUDED_READINGS: 20 * M}, n_machines=1),
            Item.READINGS,
            40 * M,
        ),
        # What is held is not taken out of what is left.
        (
            stretch(
                {
                    Meter.READINGS: 30 * M,
                    Meter.INCLUDED_READINGS: 20 * M,
                    Meter.HELD_READINGS: 10 * M,
                },
                n_machines=1,
            ),
            Item.READINGS,
            40 * M,
        ),
        # Nothing was used since the last change: what came along goes on, for both machines.
        (stretch(carried={"readings": 7 * M}, n_machines=2), Item.READINGS, 87 * M),
        (stretch(carried={"images": 12}), Item.IMAGES, 12 + 15_000),
        (stretch(), Item.IMAGES, 5_000 + 15_000),
        (stretch({Meter.IMAGES: 9_000, Meter.INCLUDED_IMAGES: 5_000}), Item.IMAGES, 15_000),
        # Machines that are paid for a year stay so, whether one has sent already or not.
        (stretch(n_prepaid=3), Item.MACHINES, 3),
        (
            stretch(
                {Meter.READINGS: 1, Meter.ACTIVE_MACHINES: 1, Meter.PREPAID_MACHINES: 3},
                n_machines=1,
                n_prepaid=3,
            ),
            Item.MACHINES,
            2,
        ),
    ],
)
def test_what_goes_along_to_a_larger_plan(before, item, goes_along):
    assert counting.left_of_allowances(before, new=plans.PLANT)[item] == goes_along
