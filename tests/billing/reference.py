"""A small ledger that knows the written rules and nothing of the code: what must be billed.

It keeps every fact one by one and counts them anew for each question, in plain loops. Amounts are
euro cents, quantities single readings, times UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor

M = 1_000_000
HOUR = timedelta(hours=1)
PRICE = {"start": 0, "workshop": 2900, "plant": 4900}
INCLUDED = {"start": 0, "workshop": 20 * M, "plant": 60 * M}
READINGS_PER_CENT = 40_000  # 25 cents a million


def month_of(at: datetime) -> datetime:
    return at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def month_after(at: datetime) -> datetime:
    return month_of(month_of(at) + timedelta(days=32))


def rounded(amount: Fraction) -> int:
    return floor(amount + Fraction(1, 2))


@dataclass
class Fact:
    """Readings of a machine for an hour; late when they were counted after it was settled."""

    hour: datetime
    machine: str
    n: int
    is_counted: bool = False
    is_late: bool = False


@dataclass
class Term:
    """A plan from an hour on. `carried` is the allowance that came along within a month."""

    start: datetime
    plan: str
    is_trial: bool = False
    carried: int | None = None


@dataclass
class Bill:
    """An invoice: what it says in the end."""

    created_at: datetime
    total: int
    number: int
    paid: bool = False
    credited: int = 0

    def is_fixed(self, now: datetime) -> bool:
        return now >= self.created_at + HOUR


@dataclass
class Reference:
    """One account's life by the rules."""

    now: datetime
    facts: list[Fact] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    late_billed: dict[datetime, int] = field(default_factory=dict)
    card: str = ""  # "", good, bad
    live: bool = False
    closes: bool = False
    was_live: bool = False
    ends_at: datetime | None = None
    next_plan: str = ""
    trial_end: datetime | None = None
    trial_used: bool = False

    # -- what was agreed ---------------------------------------------------------------------------
    @property
    def plan(self) -> str:
        begun = [t for t in self.terms if t.start <= self.now]
        waiting = [t for t in self.terms if t.start > self.now] if self.live else []
        if self.live and (not begun or begun[-1].plan == "start") and waiting:
            return waiting[0].plan  # it begins with the next full hour
        return begun[-1].plan if begun else "start"

    def subscribe(self, plan: str, *, trial: bool) -> None:
        start = self.now if self.now.minute == 0 else self.now.replace(minute=0) + HOUR
        self.live, self.was_live, self.closes = True, True, False
        self.ends_at, self.next_plan, self.trial_end = None, "", None
        self.put(Term(start, plan, is_trial=trial))
        if trial:
            over = self.now + timedelta(days=30)
            self.trial_end = over if over == month_of(over) else month_after(over)
            self.trial_used = True
            self.put(Term(self.trial_end, plan))

    def put(self, term: Term) -> None:
        self.terms = [t for t in self.terms if t.start != term.start]
        self.terms = sorted([*self.terms, term], key=lambda t: t.start)

    @property
    def in_trial(self) -> bool:
        return self.trial_end is not None and self.now < self.trial_end

    def choose(self, plan: str) -> None:
        """Another paid plan: larger at once, smaller with the month; the present one keeps it."""
        current = self.plan
        self.forget_wishes()
        if plan == current:
            return
        hour = self.now.replace(minute=0, second=0)
        later = [t for t in self.terms if t.start > self.now]
        if self.in_trial:
            for term in later:
                term.plan = plan
            self.put(Term(hour, plan, is_trial=True))
        elif later and later[0].plan != "start":
            later[0].plan = plan  # not begun yet
        elif PRICE[plan] > PRICE[current]:
            self.upgrade(plan, hour)
        else:
            self.next_plan = plan
            self.put(Term(month_after(self.now), plan))

    def upgrade(self, plan: str, hour: datetime) -> None:
        start, _end, term = self.span_at(hour)
        if start == hour:
            term.plan = plan
            return
        machines, used = self.used(start, hour, told_only=False)
        included = self.allowance(term, start, machines)
        more = len(machines) * (INCLUDED[plan] - INCLUDED[term.plan])
        new = Term(hour, plan, carried=max(0, included - used) + more)
        month, following = month_of(hour), month_after(hour)
        share = Fraction((following - hour) // HOUR, (following - month) // HOUR)
        paying = self.machines_before(start, machines)
        amount = rounded(len(paying) * (PRICE[plan] - PRICE[term.plan]) * share)
        self.put(new)
        if amount:
            self.pending.append(amount)

    def machines_before(self, start: datetime, machines: set[str]) -> set[str]:
        """Return the machines of the stretches that belong together up to here."""
        found = set(machines)
        while (term := self.span_at(start)[2]).carried is not None and term.start == start:
            start = self.span_at(start - HOUR)[0]
            found |= self.used(start, term.start, told_only=False)[0]
        return found

    def forget_wishes(self) -> None:
        if self.next_plan:
            self.terms = [t for t in self.terms if t.start <= self.now or t.plan == "start"]
        self.next_plan, self.ends_at, self.closes = "", None, False

    def leave(self, *, closes: bool) -> None:
        self.forget_wishes()
        self.closes = closes
        self.ends_at = self.trial_end if self.in_trial else month_after(self.now)

    # -- what was used -----------------------------------------------------------------------------
    def use(self, hour: datetime, machine: str, n: int) -> None:
        self.facts.append(Fact(hour, machine, n))

    def count(self) -> None:
        """Count what is complete by now; late is what belongs to a stretch that was settled."""
        for fact in self.facts:
            if fact.is_counted or fact.hour + HOUR > self.now.replace(minute=0):
                continue
            fact.is_counted = True
            closing = month_after(fact.hour) + timedelta(minutes=40)
            cuts = [
                t.start
                for t in self.terms
                if t.carried is not None
                and month_of(t.start) == month_of(fact.hour)
                and t.start <= self.now
            ]
            fact.is_late = self.now >= closing or any(fact.hour < cut for cut in cuts)

    def spans(self, month: datetime) -> Iterator[tuple[datetime, datetime, Term]]:
        end, terms = month_after(month), sorted(self.terms, key=lambda t: t.start)
        current = Term(month, "start")
        start = month
        for term in terms:
            if term.start <= month:
                current = term
            elif term.start < end:
                yield start, term.start, current
                start, current = term.start, term
        yield start, end, current

    def span_at(self, hour: datetime) -> tuple[datetime, datetime, Term]:
        return next(s for s in self.spans(month_of(hour)) if s[0] <= hour < s[1])

    def used(self, start: datetime, end: datetime, *, told_only: bool) -> tuple[set[str], int]:
        facts = [
            f
            for f in self.facts
            if start <= f.hour < end and f.is_counted and not (told_only and f.is_late)
        ]
        return {f.machine for f in facts}, sum(f.n for f in facts)

    def allowance(self, term: Term, start: datetime, new_machines: set[str]) -> int:
        carried = term.carried if term.carried is not None and term.start == start else 0
        return (carried or 0) + len(new_machines) * INCLUDED[term.plan]

    def cost(self, span: tuple[datetime, datetime, Term], *, told_only: bool) -> int:
        start, end, term = span
        if term.plan == "start" or term.is_trial:
            return 0
        machines, used = self.used(start, end, told_only=told_only)
        if term.carried is not None and term.start == start:
            before = self.span_at(start - HOUR)
            machines = machines - self.machines_before(
                before[0], self.used(before[0], before[1], told_only=False)[0]
            )
        extra = max(0, used - self.allowance(term, start, machines))
        return len(machines) * PRICE[term.plan] + rounded(Fraction(extra, READINGS_PER_CENT))

    # -- what is billed ----------------------------------------------------------------------------
    def settle_late(self) -> None:
        """Charge what late facts change in stretches that are settled."""
        late = [f for f in self.facts if f.is_late]
        for start in sorted({self.span_at(f.hour)[0] for f in late}):
            span = self.span_at(start)
            before = self.late_billed.get(start, 0)
            amount = self.cost(span, told_only=False) - self.cost(span, told_only=True) - before
            if amount:
                self.late_billed[start] = before + amount
                self.pending.append(amount)
        if self.pending and not self.live and self.was_live:
            self.bill(sum(self.pending))
            self.pending = []

    def bill(self, total: int) -> None:
        self.bills.append(Bill(self.now, total, len(self.bills)))

    def end_month(self, boundary: datetime) -> None:
        """The month is over: usage is told while the invoice is a draft, then it is fixed."""
        month = month_of(boundary - HOUR)
        if not self.live or (self.trial_end is not None and boundary < self.trial_end):
            return
        if boundary == self.trial_end and not self.card:
            return  # it ends without an invoice
        total = sum(self.cost(span, told_only=True) for span in self.spans(month))
        self.bills.append(Bill(boundary, total + sum(self.pending), len(self.bills)))
        self.pending = []

    def collect(self) -> None:
        for bill in self.bills:
            if not bill.paid and bill.is_fixed(self.now):
                bill.paid = bill.total <= 0 or self.card == "good"

    # -- time --------------------------------------------------------------------------------------
    def advance(self, to: datetime) -> None:
        """Let time pass; call it for each end of a month and its closing, then for the target."""
        self.now = to
        self.count()
        boundary = month_of(to)
        if to - boundary == timedelta(minutes=5):
            self.end_month(boundary)
            self.turn(boundary)
        self.settle_late()
        self.collect()

    def turn(self, boundary: datetime) -> None:
        """Begin a month: what was chosen for it holds now."""
        if self.trial_end == boundary and not self.card:
            self.end(boundary)
        if self.ends_at == boundary and self.live:
            self.end(boundary)
        if self.next_plan and self.live:
            self.next_plan = ""

    def end(self, at: datetime) -> None:
        self.live, self.next_plan, self.ends_at = False, "", None
        self.terms = [t for t in self.terms if t.start <= at]
        self.put(Term(at, "start"))

    def pay(self) -> None:
        self.card = "good"
        self.collect()

    # -- what is to be seen ------------------------------------------------------------------------
    def seen(self) -> list[tuple[int, bool]]:
        """Return the fixed invoices that are about money: total, and whether it is paid."""
        fixed = [b for b in self.bills if b.total and b.is_fixed(self.now)]
        return [(b.total, b.paid) for b in fixed]
