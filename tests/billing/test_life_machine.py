"""Any life of a subscription: what we hold, what the rules say and what Stripe holds are one.

A machine takes random steps (subscribing, trials, plans, cards, use, late use, refunds, time) on
the real stand-in and compares after each: our invoices, the reference's and Stripe's, to the cent;
and the sums of every meter. 2,000 steps: 40 lives of 50, the same each time; with TAKT_LIVES (a
number) others.
"""

import itertools
import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from billing import dunning, services
from billing.models import BillingAccount, Invoice, LedgerDelivery, Subscription
from billing.periods import next_month
from tests.billing.conftest import HOUR
from tests.billing.reference import M, Reference

OCT_10 = datetime(2026, 10, 10, 9, 20, tzinfo=UTC)
DRAFTED, FIXED = timedelta(minutes=5), timedelta(hours=2)
_NUMBERS = itertools.count()
pytestmark = [pytest.mark.slow, pytest.mark.chain]  # minutes: with the whole chain


class Life(RuleBasedStateMachine):
    """One account from its first day on. `world` gives what the fixtures hold."""

    world: Any

    @initialize()
    def begin(self) -> None:
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.factory, self.stripe = self.world.factory, self.world.stripe
        self.world.readings.stored.clear()
        self.world.readings.changed.clear()
        self.now = OCT_10
        self.reference = Reference(OCT_10)
        self.account = services.account_for(self.factory)
        self.key = str(self.account.pk)

    def teardown(self) -> None:
        if hasattr(self, "atomic"):
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    # -- time and what runs by itself --------------------------------------------------------------
    def sync(self) -> None:
        """What the tasks do: count, tell, hear, review."""
        services.roll_up(factory=self.factory, until=self.now, at=self.now)
        services.report_usage(factory=self.factory, at=self.now)
        services.sync_account(account_id=self.key, at=self.now)
        services.review_standing(account_id=self.key, at=self.now)

    def move(self, to: datetime) -> None:
        account = BillingAccount.objects.get(pk=self.account.pk)
        if account.test_clock_id:
            self.stripe.advance_clock(clock_id=account.test_clock_id, to=to)
        self.now = to
        self.sync()
        self.reference.advance(to)

    @rule(hours=st.sampled_from([1, 3, 26, 150, 500, 900]))
    def let_time_pass(self, hours: int) -> None:
        target = self.now + hours * HOUR
        while (boundary := next_month(self.now)) <= target:
            self.move(boundary + DRAFTED)
            self.move(boundary + FIXED)
        if self.now < target:
            self.move(target)

    # -- the owner ---------------------------------------------------------------------------------
    @property
    def live(self) -> Subscription | None:
        return Subscription.objects.filter(account=self.account, ended_at=None).first()

    @precondition(lambda self: not self.reference.live)
    @rule(plan=st.sampled_from(["workshop", "plant"]), trial=st.booleans())
    def subscribe(self, plan: str, trial: bool) -> None:
        trial = trial and not self.reference.trial_used
        subscription = services.start_subscription(
            factory=self.factory, plan=plan, by=None, at=self.now, trial=trial, simulated=True
        )
        services.open_subscription(subscription_id=str(subscription.pk), simulated=True)
        self.reference.subscribe(plan, trial=trial)
        self.sync()
        self.reference.settle_late()

    @precondition(lambda self: self.reference.live)
    @rule(plan=st.sampled_from(["workshop", "plant"]))
    def change(self, plan: str) -> None:
        services.change_plan(factory=self.factory, plan=plan, by=None, at=self.now)
        self.reference.choose(plan)
        self.sync()

    @precondition(lambda self: self.reference.live)
    @rule()
    def cancel(self) -> None:
        services.cancel_subscription(factory=self.factory, by=None, at=self.now)
        self.reference.leave(closes=True)
        self.sync()

    @precondition(lambda self: self.reference.live and self.reference.ends_at is not None)
    @rule()
    def reactivate(self) -> None:
        services.reactivate(factory=self.factory, by=None, at=self.now)
        self.reference.forget_wishes()
        self.sync()

    @precondition(lambda self: self.reference.was_live)
    @rule()
    def pay(self) -> None:
        self.leave_card("pm_card_visa")
        self.reference.pay()
        self.sync()
        for invoice in Invoice.objects.filter(account=self.account, status="open"):
            self.stripe.pay_invoice(key=f"pay-{next(_NUMBERS)}", invoice_id=invoice.stripe_id)
        self.sync()

    @precondition(lambda self: self.reference.was_live)
    @rule()
    def fail(self) -> None:
        """Leave a card that will be declined."""
        self.leave_card("pm_card_chargeCustomerFail")
        self.reference.card = "bad"
        self.sync()

    def leave_card(self, name: str) -> None:
        account = BillingAccount.objects.get(pk=self.account.pk)
        self.stripe.use_card(
            key=f"card-{next(_NUMBERS)}",
            customer_id=account.stripe_customer_id or "",
            payment_method=name,
        )

    # -- the machines ------------------------------------------------------------------------------
    @rule(
        machine=st.sampled_from("abc"),
        n=st.sampled_from([1, 39_999, 7 * M, 26 * M, 65 * M]),
        hours_ago=st.integers(1, 5),
    )
    def use(self, machine: str, n: int, hours_ago: int) -> None:
        self.store(self.now - hours_ago * HOUR, machine, n)

    @rule(
        machine=st.sampled_from("abcd"),
        n=st.sampled_from([1, 30 * M]),
        days_ago=st.integers(1, 70),
    )
    def use_late(self, machine: str, n: int, days_ago: int) -> None:
        self.store(self.now - timedelta(days=days_ago), machine, n)

    def store(self, at: datetime, machine: str, n: int) -> None:
        hour = at.replace(minute=0, second=0)
        self.world.readings.add(f"machine:{machine}", hour, n, at=self.now)
        self.reference.use(hour, machine, n)
        self.sync()
        self.reference.count()
        self.reference.settle_late()

    # -- staff -------------------------------------------------------------------------------------
    @precondition(lambda self: any(b.paid and b.total > 0 for b in self.reference.bills))
    @rule(data=st.data())
    def refund(self, data: st.DataObject) -> None:
        paid = [b for b in self.reference.bills if b.paid and b.total > b.credited]
        assume(paid)
        bill = data.draw(st.sampled_from(paid))
        invoices = Invoice.objects.filter(account=self.account, status="paid")
        invoice = invoices.filter(total_minor=bill.total).order_by("created_at").first()
        assume(invoice is not None)
        assert invoice is not None
        amount = data.draw(st.integers(1, bill.total - bill.credited))
        note = self.stripe.credit_note(
            key=f"note-{next(_NUMBERS)}",
            invoice_id=invoice.stripe_id,
            amount=amount,
            refund=True,
            reason="order_change",
            memo="",
        )
        assert (note.amount, note.refunded) == (amount, amount)
        same = [b for b in paid if b.total == bill.total]
        same[0].credited += amount

    # -- what must hold ----------------------------------------------------------------------------
    @invariant()
    def all_three_agree(self) -> None:
        if not hasattr(self, "reference"):
            return
        ours = self.ours()
        assert ours == self.reference.seen()
        assert ours == self.theirs()

    def ours(self) -> list[tuple[int, bool]]:
        rows = Invoice.objects.filter(account=self.account).order_by("created_at", "pk")
        return [
            (i.total_minor, i.status == "paid") for i in rows if i.total_minor and i.finalized_at
        ]

    def theirs(self) -> list[tuple[int, bool]]:
        account = BillingAccount.objects.get(pk=self.account.pk)
        if not account.stripe_customer_id:
            return []
        found = self.stripe.invoices(account.stripe_customer_id)
        return [
            (i.total, i.status == "paid") for i in reversed(found) if i.total and i.finalized_at
        ]

    @invariant()
    def the_plan_is_that_of_the_rules(self) -> None:
        if not hasattr(self, "reference"):
            return
        live = self.live
        assert (live is not None) == self.reference.live
        if live is not None:
            assert live.plan == self.reference.plan

    @invariant()
    def nothing_is_left_to_be_told(self) -> None:
        if hasattr(self, "reference") and self.live is not None:
            waiting = LedgerDelivery.objects.filter(
                account=self.account, state=LedgerDelivery.State.PENDING
            )
            assert not waiting.exists()
            assert not LedgerDelivery.objects.filter(
                account=self.account, state=LedgerDelivery.State.REFUSED
            ).exists()

    @invariant()
    def stripe_s_meters_hold_what_was_sent(self) -> None:
        if hasattr(self, "reference") and self.reference.was_live:
            assert services.usage_differences(account_id=self.key) == []

    @invariant()
    def standing_follows_from_what_is_unpaid(self) -> None:
        if not hasattr(self, "reference"):
            return
        account = BillingAccount.objects.get(pk=self.account.pk)
        unpaid = [b for b in self.reference.bills if b.total > 0 and b.is_fixed(self.now)]
        unpaid = [b for b in unpaid if not b.paid]
        if unpaid and account.standing != account.Standing.DELETED:
            assert account.cause == account.Cause.UNPAID
            expected = dunning.step(account.cause, account.overdue_since, self.now)
            assert account.standing == expected.standing


def test_any_life_ends_in_one_account(acme, stripe, readings, switch):
    switch(after_dunning="past_due")  # as docs/staff.md asks for at Stripe
    Life.world = SimpleNamespace(factory=acme, stripe=stripe, readings=readings)
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=int(os.environ.get("TAKT_LIVES", "40")),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # The same lives each time, unless others are asked for.
            derandomize="TAKT_LIVES" not in os.environ,
            print_blob=True,
        ),
    )
