"""72 hours without Stripe over the end of a month, lost and repeated events: the sums are equal.

Several customers on test clocks use something every hour. While Stripe is away to us it lives on:
it ends the month, fixes invoices, and takes a payment. Within the hour of its return all that was
due has run once, the proof finds nothing, and what was invoiced is what the rules say.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import cache
from django.db.models import Sum

from billing import facts, gateways, services
from billing.gateways import StripeGateway
from billing.models import BillingAccount, InboxEvent, Invoice, LedgerDelivery, LedgerEntry
from billing.periods import month_start, next_month
from billing.services import reconciling
from tenants.models import Factory, FactoryLimits
from tests.billing.conftest import API_KEY, HOUR, Facts
from tests.billing.reference import Reference
from tests.billing.test_chain import away

OCT_29 = datetime(2026, 10, 29, tzinfo=UTC)
SEP_28 = datetime(2026, 9, 28, tzinfo=UTC)
DEC_1 = datetime(2026, 12, 1, tzinfo=UTC)
AWAY = datetime(2026, 10, 30, 12, tzinfo=UTC)
BACK = AWAY + timedelta(hours=72)
DRAFTED, FIXED = timedelta(minutes=5), timedelta(hours=2)
STEP = 6 * HOUR
pytestmark = pytest.mark.slow


@dataclass
class Customer:
    """A factory with what the rules say of it."""

    factory: Factory
    account: BillingAccount
    reference: Reference


@dataclass
class World:
    """Everything that lives on while Stripe is away to us."""

    stripe: StripeGateway  # never away
    readings: Facts
    chance: random.Random
    now: datetime
    used_to: datetime
    customers: list[Customer] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    n_lost: int = 0
    n_repeated: int = 0

    def subscribe(self, factory: Factory, *, plan: str, at: datetime, card: str) -> Customer:
        subscription = services.start_subscription(
            factory=factory, plan=plan, by=None, at=at, simulated=True
        )
        services.open_subscription(subscription_id=str(subscription.pk), simulated=True)
        account = BillingAccount.objects.get(factory=factory)
        customer = Customer(factory, account, Reference(at))
        customer.reference.subscribe(plan, trial=False)
        if card:
            self.leave_card(customer, card)
        self.customers.append(customer)
        return customer

    def leave_card(self, customer: Customer, card: str) -> None:
        account = customer.account
        self.stripe.use_card(
            key=f"{account.pk}-{card}",
            customer_id=account.stripe_customer_id or "",
            payment_method=card,
        )
        customer.reference.card = "good"

    def use(self, hour: datetime) -> None:
        for n, customer in enumerate(self.customers):
            for machine in "abc"[: 1 + n % 3]:
                amount = self.chance.choice([1, 999, 250_000, 700_000])
                self.readings.add(
                    f"machine:{machine}", hour, amount, schema=customer.factory.schema_name
                )
                customer.reference.use(hour, machine, amount)

    def live(self, to: datetime, *, is_away: bool = False, use: bool = True) -> None:
        """Let time pass for all, stopping where months are drafted and fixed."""
        months = (month_start(self.now), next_month(self.now))
        closings = [month + later for month in months for later in (DRAFTED, FIXED)]
        stops = [at for at in closings if self.now < at < to]
        for stop in [*stops, to]:
            while self.used_to + HOUR <= stop:
                if use:
                    self.use(self.used_to)
                self.used_to += HOUR
            self.move(stop, is_away=is_away)

    def move(self, to: datetime, *, is_away: bool) -> None:
        self.now = to
        for customer in self.customers:
            self.stripe.advance_clock(clock_id=customer.account.test_clock_id, to=to)
            customer.reference.advance(to)
            self.run_jobs(customer)
        if not is_away:
            self.deliver()

    def run_jobs(self, customer: Customer) -> None:
        """What runs every quarter of an hour, Stripe there or not."""
        services.roll_up(factory=customer.factory, until=self.now, at=self.now)
        services.report_usage(factory=customer.factory, at=self.now)
        services.review_standing(account_id=str(customer.account.pk), at=self.now)

    def deliver(self) -> None:
        """Deliver what happened at Stripe: in any order, some not at all, some twice."""
        fresh = [e for e in self.events() if e.id not in self.seen]
        self.seen |= {e.id for e in fresh}
        self.chance.shuffle(fresh)
        for event in fresh:
            luck = self.chance.random()
            if luck < 0.05:
                self.n_lost += 1
                continue
            for _ in range(2 if luck > 0.95 else 1):
                self.n_repeated += luck > 0.95
                services.receive(event=event, at=self.now)
                services.apply_event(event_id=event.id, at=self.now)

    def events(self) -> Sequence[gateways.StripeEvent]:
        ours = {c.account.stripe_customer_id for c in self.customers}
        found = [
            event
            for kinds in reconciling._KINDS
            for event in self.stripe.events(since=SEP_28 - timedelta(days=9), kinds=kinds)
        ]
        return [e for e in found if e.payload["data"]["object"].get("customer") in ours]

    def run_hourly_jobs(self) -> None:
        """What runs within the hour of Stripe's return."""
        cache.delete(reconciling._LISTED_TO)
        services.fetch_missing_events(at=self.now)
        for event_id in InboxEvent.objects.filter(state="received").values_list("pk", flat=True):
            services.apply_event(event_id=event_id, at=self.now)
        for customer in self.customers:
            key = str(customer.account.pk)
            services.sync_account(account_id=key, at=self.now)
            services.tell_end(account_id=key, at=self.now)
            self.run_jobs(customer)


@pytest.fixture
def world(acme, globex, stripe, standin, readings, wire, monkeypatch):
    """Four customers on Workshop and Plant; one owes an invoice since 1 October."""
    # Two of them have no schema: what they use are the readings that are given.
    monkeypatch.setattr(facts, "images", lambda **_hours: [])
    monkeypatch.setattr(facts, "archive", lambda **_hours: [])
    direct = StripeGateway(api_key=API_KEY, api_base=standin.url, max_retries=0)
    made = World(direct, readings, random.Random(72), SEP_28, SEP_28)
    others = [
        Factory.objects.create(schema_name=name, name=name, state=Factory.State.ACTIVE)
        for name in ("north", "south")
    ]
    for factory in others:
        FactoryLimits.objects.get_or_create(factory=factory)
    debtor = made.subscribe(others[0], plan="workshop", at=SEP_28, card="")
    readings.add("machine:a", SEP_28 + HOUR, 500, schema="north")
    debtor.reference.use(SEP_28 + HOUR, "a", 500)
    made.live(OCT_29, use=False)
    for factory, plan in ((acme, "workshop"), (globex, "plant"), (others[1], "workshop")):
        made.subscribe(factory, plan=plan, at=OCT_29, card="pm_card_visa")
    return made


def totals(account: BillingAccount) -> dict[str, int]:
    rows = LedgerEntry.objects.filter(account=account).values_list("meter")
    return dict(rows.annotate(total=Sum("quantity")))


def test_72_hours_without_stripe_bill_everything_once(world, acme, wire, settings):
    settings.STRIPE_READS_PER_S = 1000
    debtor, upgraded = world.customers[0], world.customers[1]
    while world.now < AWAY:
        world.live(world.now + STEP)
    assert Invoice.objects.get(account=debtor.account).status == "open"

    wire.before = away
    while world.now < BACK:
        world.live(world.now + STEP, is_away=True)
        if world.now == AWAY + 24 * HOUR:
            services.change_plan(factory=acme, plan="plant", by=None, at=world.now)
            upgraded.reference.choose("plant")
        if world.now == AWAY + 48 * HOUR:  # on Stripe's own page
            world.leave_card(debtor, "pm_card_mastercard")
            debtor.reference.pay()
            for invoice in world.stripe.invoices(debtor.account.stripe_customer_id or ""):
                if invoice.status == "open":
                    world.stripe.pay_invoice(key=f"pay-{invoice.id}", invoice_id=invoice.id)
    assert LedgerDelivery.objects.filter(state="pending").exists()
    known = {c.account.pk: totals(c.account) for c in world.customers}

    wire.before = lambda _method, _path: None
    world.deliver()
    world.run_hourly_jobs()
    world.live(BACK + HOUR, use=False)
    proof = services.prove(at=BACK + timedelta(minutes=59))

    assert world.n_lost > 3
    assert world.n_repeated > 3
    assert [d for ds in proof.lines.values_list("differences", flat=True) for d in ds] == []
    assert proof.n_failed == 0
    assert not LedgerDelivery.objects.filter(state__in=["pending", "refused"]).exists()
    assert {c.account.pk: totals(c.account) for c in world.customers} == known
    assert {BillingAccount.objects.get(pk=c.account.pk).standing for c in world.customers} == {
        "good"
    }
    the_invoices_are_the_rules(world)


def the_invoices_are_the_rules(world: World) -> None:
    """Live to the end of November, and compare what was invoiced in all."""
    world.live(DEC_1 + 3 * HOUR, use=False)
    world.run_hourly_jobs()
    for customer in world.customers:
        theirs = world.stripe.invoices(customer.account.stripe_customer_id or "")
        assert sum(i.total for i in theirs) == sum(b.total for b in customer.reference.bills)
        assert {i.status for i in theirs} == {"paid"}
        ours = Invoice.objects.filter(account=customer.account)
        assert sorted(ours.values_list("stripe_id", "total_minor")) == sorted(
            (i.id, i.total) for i in theirs
        )
    assert services.prove(at=DEC_1 + 4 * HOUR).n_differences == 0
