"""Where a subscription stands, with what comes next and when, from what is known here."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import plans, services
from billing.models import BillingAccount, Invoice, Subscription, YearlyMachines
from billing.selectors import life_view
from billing.services import add_ons

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_10, NOV_1 = datetime(2026, 10, 10, 9, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def workshop(acme, readings):
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_1)
    return services.account_for(acme)


def test_start_has_nothing_but_a_trial_to_offer(globex):
    BillingAccount.objects.filter(factory=globex).delete()

    view = life_view(globex, OCT_10)

    assert (view.plan, view.status, view.standing) == (plans.START, "", "good")
    assert (view.can_start_trial, view.can_choose_currency) == (True, True)
    assert not any([view.can_cancel, view.can_pay_now, view.can_buy_yearly, view.can_redeem])
    assert not view.needs_address
    assert "up to 2 machines" in view.includes


def test_a_trial_says_when_it_ends_and_offers_no_year(acme):
    started = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_1, trial=True
    )

    assert started.trial_end is not None
    view = life_view(acme, OCT_10)
    over = life_view(acme, started.trial_end)

    assert (view.trial_end, view.can_buy_yearly, view.can_start_trial) == (
        started.trial_end, False, False,
    )  # fmt: skip
    assert (over.trial_end, over.can_buy_yearly) == (None, True)


def test_a_plan_says_what_it_includes_and_asks_for_an_address(acme, workshop):
    view = life_view(acme, OCT_10)

    assert view.includes[0] == "20,000,000 readings a machine"
    assert (view.needs_address, view.can_choose_currency, view.can_cancel) == (True, False, True)
    BillingAccount.objects.update(line1="Werkstr. 1", country="DE")
    assert not life_view(acme, OCT_10).needs_address


def test_what_was_chosen_for_later_is_shown_with_its_day(acme, readings):
    services.start_subscription(factory=acme, plan="plant", by=None, at=OCT_1)
    services.change_plan(factory=acme, plan="workshop", by=None, at=OCT_10)

    view = life_view(acme, OCT_10)

    assert view.next_plan is not None
    assert (view.plan.key, view.next_plan.key, view.next_plan_at) == ("plant", "workshop", NOV_1)
    assert view.can_reactivate


def test_a_cancellation_shows_the_days_of_suspension_and_deletion(acme, workshop):
    services.cancel_subscription(factory=acme, by=None, at=OCT_10)

    view = life_view(acme, OCT_10)

    assert (view.ends_at, view.closes_factory, view.can_reactivate) == (NOV_1, True, True)
    assert [(s.standing, s.starts_at, s.is_reached) for s in view.steps] == [
        ("suspended", NOV_1, False),
        ("deleted", NOV_1 + 30 * DAY, False),
    ]
    assert not view.can_buy_yearly


@pytest.mark.parametrize(("days", "n_reached"), [(0, 1), (14, 2), (28, 3), (57, 3)])
def test_an_unpaid_invoice_shows_every_step_with_its_day(acme, workshop, days, n_reached):
    Invoice.objects.create(
        account=workshop, stripe_id="in_1", status="open", currency="EUR", total_minor=2900,
        due_minor=2900, paid_minor=0, period_start=OCT_1, period_end=NOV_1, created_at=NOV_1,
        finalized_at=NOV_1, synced_at=NOV_1, n_attempts=1, next_attempt_at=NOV_1 + 3 * DAY,
    )  # fmt: skip
    at = NOV_1 + days * DAY
    services.review_standing(account_id=str(workshop.pk), at=at)

    view = life_view(acme, at)

    assert [s.starts_at for s in view.steps] == [NOV_1 + n * DAY for n in (0, 14, 28, 58)]
    reached = [s for s in view.steps if s.is_reached]
    assert (len(reached), reached[-1].standing) == (n_reached, view.standing)
    assert view.until == view.steps[n_reached].starts_at
    assert (view.can_pay_now, view.open_minor, view.n_open_invoices) == (True, 2900, 1)
    assert view.next_attempt_at == NOV_1 + 3 * DAY


def test_the_year_the_add_on_and_the_discount_are_shown(acme, workshop):
    YearlyMachines.objects.create(
        account=workshop, plan="workshop", version=2, n_machines=3, stripe_id="sub_y",
        started_at=OCT_1, period_end=OCT_1 + 365 * DAY, renewal_machines=2,
    )  # fmt: skip
    add_ons.book_add_on(factory=acme, key="fast_answer", by=None, at=OCT_10)
    Subscription.objects.update(percent_off=20, promotion_code="X", discount_ends_at=NOV_1)

    view = life_view(acme, OCT_10)

    assert view.yearly is not None
    assert (view.yearly.n_machines, view.yearly.renewal_machines, view.yearly.renews) == (
        3,
        2,
        True,
    )
    assert view.yearly.price_minor == 29_000
    (add_on,) = view.add_ons
    assert (add_on.key, add_on.is_booked, add_on.price_minor) == ("fast_answer", True, 4900)
    assert view.discount is not None
    assert (view.discount.code, view.discount.ends_at) == ("X", NOV_1)
    assert not view.can_redeem
    assert life_view(acme, NOV_1).discount is None
    services.cancel_subscription(factory=acme, by=None, at=OCT_10)
    ending = life_view(acme, OCT_10)
    assert ending.yearly is not None
    assert not ending.yearly.renews
