"""What waits for the next invoice of a subscription that ends without one: billed, or removed."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import services
from billing.models import BillingAccount, Invoice, Subscription
from billing.services import add_ons, last_bill, telling
from billing.services.last_bill import LastBill
from tests.billing.conftest import HOUR, NOV_1

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_12 = datetime(2026, 10, 12, 13, tzinfo=UTC)
DEC_1, JAN_1 = datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIXED = timedelta(hours=2)
pytestmark = pytest.mark.slow


class Factory:
    """acme in simulated time, with what its jobs would do."""

    def __init__(self, acme, stripe):
        self.acme, self.stripe = acme, stripe

    @property
    def account(self):
        return services.account_for(self.acme)

    @property
    def key(self):
        return str(self.account.pk)

    def begin(self, at, *, trial=False):
        started = services.start_subscription(
            factory=self.acme, plan="workshop", by=None, at=at, trial=trial, simulated=True
        )
        services.open_subscription(subscription_id=str(started.pk), simulated=True)
        started.refresh_from_db()
        return started

    def go_to(self, at):
        self.stripe.advance_clock(clock_id=self.account.test_clock_id, to=at)
        services.roll_up(factory=self.acme, until=at, at=at)
        services.report_usage(factory=self.acme, at=at)
        services.sync_account(account_id=self.key, at=at)

    def write(self, amount, *, subscription=""):
        """Have staff write an amount at Stripe."""
        return self.stripe.add_invoice_item(
            key=f"by-hand-{self.key}-{amount}-{subscription}",
            customer_id=self.account.stripe_customer_id, subscription_id=subscription,
            amount=amount, currency="eur", description="By hand", period=(OCT_1, OCT_12),
            metadata={},
        )  # fmt: skip

    def pending(self):
        return [item.amount for item in self.stripe.pending_items(self.account.stripe_customer_id)]

    def settle(self, at):
        """Settle what is left, let the invoice be fixed, and say what was done."""
        done = last_bill.bill_what_is_left(account_id=self.key)
        assert last_bill.bill_what_is_left(account_id=self.key) == LastBill()
        self.go_to(at + FIXED)
        return done

    def totals(self):
        found = Invoice.objects.filter(account=self.account).order_by("created_at", "pk")
        return [(i.total_minor, i.status) for i in found if i.total_minor]


@pytest.fixture
def life(acme, stripe, readings):
    return Factory(acme, stripe)


def test_a_trial_without_a_card_leaves_nothing_and_charges_nothing(acme, life):
    trial = life.begin(OCT_1, trial=True)
    add_ons.book_add_on(factory=acme, key="fast_answer", by=None, at=OCT_1)
    telling.tell_rest(account_id=life.key, at=OCT_1)
    life.write(700, subscription=trial.stripe_id)
    life.write(800)
    life.go_to(trial.trial_end + HOUR)
    assert {700, 800} <= set(life.pending())

    done = life.settle(trial.trial_end + HOUR)

    assert done == LastBill(0, 2)
    assert (life.pending(), life.totals()) == ([], [])


def test_a_credit_written_in_a_trial_goes_to_the_balance(life, stripe):
    trial = life.begin(OCT_1, trial=True)
    life.write(-500, subscription=trial.stripe_id)
    life.go_to(trial.trial_end + HOUR)

    life.settle(trial.trial_end + HOUR)

    assert (life.pending(), life.totals()) == ([], [(-500, "paid")])
    customer = stripe._v1.customers.retrieve(life.account.stripe_customer_id)
    assert customer.balance == -500


@pytest.fixture
def paid_then_trial(acme, life, readings):
    """October on Workshop; a trial from November on, and then late readings of October."""
    life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_visa")
    services.cancel_subscription(factory=acme, by=None, at=OCT_12)
    life.go_to(OCT_12)
    life.go_to(NOV_1 + FIXED)
    trial = life.begin(NOV_1 + DAY, trial=True)
    (card,) = life.stripe.payment_methods(life.account.stripe_customer_id)
    life.stripe.detach_card(key=f"gone-{life.key}", card_id=card.id)
    readings.add("machine:a", OCT_12, 10, at=NOV_1 + 2 * DAY)
    life.go_to(NOV_1 + 2 * DAY)
    return trial


def test_late_usage_of_a_paid_month_is_billed_when_a_later_trial_ends(acme, life, paid_then_trial):
    life.write(300)
    assert sorted(life.pending()) == [300, 2900]
    life.go_to(paid_then_trial.trial_end + HOUR)
    assert Subscription.objects.filter(ended_at=None).count() == 0

    done = life.settle(paid_then_trial.trial_end + HOUR)

    # One for each; without a card they stay open, as any other.
    assert done == LastBill(2, 0)
    assert (life.pending(), sorted(life.totals())) == ([], [(300, "open"), (2900, "open")])
    run = services.prove(at=paid_then_trial.trial_end + DAY)
    assert (run.n_differences, run.n_failed) == (0, 0)


def test_an_end_with_the_month_takes_along_what_waits(acme, life):
    live = life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_visa")
    life.write(700, subscription=live.stripe_id)
    services.cancel_subscription(factory=acme, by=None, at=OCT_12)
    life.go_to(OCT_12)
    life.go_to(NOV_1 + FIXED)

    assert (life.pending(), life.totals()) == ([], [(700, "paid")])
    assert life.settle(NOV_1 + FIXED) == LastBill()


def test_late_usage_after_the_last_invoice_has_one_of_its_own(acme, life, readings):
    life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_visa")
    services.cancel_subscription(factory=acme, by=None, at=OCT_12)
    life.go_to(OCT_12)
    life.go_to(NOV_1 + FIXED)
    readings.add("machine:a", OCT_12, 10, at=NOV_1 + DAY)
    life.go_to(NOV_1 + DAY)

    assert life.settle(NOV_1 + DAY) == LastBill()
    assert (life.pending(), life.totals()) == ([], [(2900, "paid")])


def test_an_end_that_stripe_hears_of_late_bills_what_waited(acme, life, wire):
    live = life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_visa")
    services.cancel_subscription(factory=acme, by=None, at=OCT_12)
    life.stripe.advance_clock(clock_id=life.account.test_clock_id, to=NOV_1 + DAY)
    life.write(700, subscription=live.stripe_id)
    life.go_to(NOV_1 + DAY)
    assert life.pending() == [700]

    assert life.settle(NOV_1 + DAY) == LastBill(1, 0)

    assert (life.pending(), life.totals()) == ([], [(700, "paid")])


def test_what_waits_outlives_the_factory_and_is_billed(acme, life):
    live = life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_visa")
    life.stripe.cancel_now(
        key=f"gone-{life.key}", subscription_id=live.stripe_id, invoice_now=False
    )
    key, customer_id = life.key, life.account.stripe_customer_id
    life.write(700, subscription=live.stripe_id)
    BillingAccount.objects.filter(pk=key).update(factory=None)
    services.sync_account(account_id=key, at=OCT_1 + HOUR)

    assert last_bill.bill_what_is_left(account_id=key) == LastBill(1, 0)

    (invoice,) = [i for i in life.stripe.invoices(customer_id) if i.total]
    assert (invoice.total, invoice.status) == (700, "draft")
    assert life.stripe.pending_items(customer_id) == []


def test_what_waits_is_billed_where_stripe_ended_it_for_want_of_payment(
    acme, life, readings, switch
):
    switch(after_dunning="cancel", dunning_days="3")
    live = life.begin(OCT_1)
    services.use_card(factory=acme, payment_method="pm_card_chargeCustomerFail")
    readings.add("machine:a", OCT_12, 10)
    life.go_to(OCT_12 + DAY)
    life.go_to(NOV_1 + FIXED)
    life.write(700, subscription=live.stripe_id)
    life.go_to(NOV_1 + 5 * DAY)
    assert life.pending() == [700]

    assert life.settle(NOV_1 + 5 * DAY) == LastBill(1, 0)

    assert (life.pending(), life.totals()) == ([], [(2900, "open"), (700, "open")])
