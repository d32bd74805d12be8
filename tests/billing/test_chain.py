"""From a plan chosen to an invoice paid, with Stripe there, away, and half away."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from billing import plans, services
from billing.gateways import StripeAway, StripeRefused
from billing.models import (
    Adjustment,
    BillingAccount,
    Invoice,
    LedgerDelivery,
    PlanTerm,
    Subscription,
)
from billing.plans import Meter
from billing.selectors import invoices, subscription_of, usage_summary
from tenants.models import FactoryLimits, Job, Membership
from tests.billing.conftest import HOUR, NOV_1

OCT_10 = datetime(2026, 10, 10, tzinfo=UTC)
DEC_1 = datetime(2026, 12, 1, tzinfo=UTC)
M = 1_000_000
pytestmark = pytest.mark.slow


@pytest.fixture
def started(acme, stripe):
    """acme on Workshop since 10 October, in simulated time."""
    subscription = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_10, simulated=True
    )
    return services.open_subscription(subscription_id=str(subscription.pk), simulated=True)


def stripe_total(stripe, account: BillingAccount, event_name: str, start, end) -> int:
    meter_id = stripe.meters()[event_name]
    total: int = stripe.usage_total(
        meter_id=meter_id, customer_id=account.stripe_customer_id, start=start, end=end
    )
    return total


def away(_method: str, _path: str) -> None:
    raise requests.ConnectionError("away")


def test_a_month_of_usage_becomes_a_paid_invoice_to_the_cent(acme, started, readings):
    services.use_card(factory=acme, payment_method="pm_card_visa")
    for source in "ab":
        readings.add(f"machine:{source}", OCT_10 + 9 * HOUR, 25 * M)
    readings.add("machine:a", NOV_1 - HOUR, 3 * M)  # the last hour, while the draft is open
    readings.add("machine:a", NOV_1 + HOUR, 1 * M)

    services.run_clock(factory=acme, until=NOV_1 + timedelta(days=2))

    (invoice,) = invoices(acme)
    assert (invoice.status, invoice.currency, invoice.period_end) == ("paid", "EUR", NOV_1)
    # 2 machines at 29.00; 53 M readings of which 40 M are included: 13 M at 0.25.
    assert [(line.quantity, line.amount_minor) for line in invoice.lines.order_by("position")] == [
        (2, 5800),
        (13 * M, 325),
        (0, 0),  # images, planning, archive
        (0, 0),
        (0, 0),
    ]
    assert invoice.total_minor == sum(line.amount_minor for line in invoice.lines.all()) == 6125


def test_the_invoice_is_what_the_usage_page_had_shown(acme, started, readings):
    readings.add("machine:a", OCT_10 + 5 * HOUR, 21 * M)
    services.run_clock(factory=acme, until=NOV_1 - HOUR)

    shown = usage_summary(acme, NOV_1 - HOUR)
    services.run_clock(factory=acme, until=NOV_1 + 3 * HOUR)

    assert shown.so_far_minor == invoices(acme)[0].total_minor == 2925


def test_stripe_holds_what_the_ledger_holds(acme, started, readings, stripe):
    for i in range(6):
        readings.add("machine:a", OCT_10 + i * HOUR, 100 + i)
    readings.add("machine:b", OCT_10 + 2 * HOUR, 1)
    services.run_clock(factory=acme, until=OCT_10 + 10 * HOUR)

    account = services.account_for(acme)
    end = OCT_10 + 10 * HOUR
    assert stripe_total(stripe, account, "takt_active_machines", OCT_10, end) == 2
    assert stripe_total(stripe, account, "takt_extra_readings", OCT_10, end) == 616 - 40 * M


def test_starting_a_plan_lifts_the_limits_at_once_though_stripe_is_away(acme, wire, stripe):
    wire.before = away
    FactoryLimits.objects.filter(factory=acme).update(max_machines=2, plan="start")

    subscription = services.start_subscription(factory=acme, plan="workshop", by=None)
    with pytest.raises(StripeAway):
        services.open_subscription(subscription_id=str(subscription.pk))

    limits = FactoryLimits.objects.get(factory=acme)
    assert (limits.plan, limits.max_machines) == ("workshop", None)
    assert Subscription.objects.get(pk=subscription.pk).status == "starting"
    assert Job.objects.filter(task="billing.open_subscription", state="queued").exists()


def test_usage_from_before_stripe_came_back_is_billed_once_it_is_back(acme, readings, wire, stripe):
    """Chosen ten days ago, opened today: the subscription is backdated to its true start."""
    now = datetime.now(UTC).replace(microsecond=0)
    then = now - timedelta(days=10)
    wire.before = away
    subscription = services.start_subscription(factory=acme, plan="workshop", by=None, at=then)
    first = then + timedelta(hours=2)
    readings.add("machine:a", first.replace(minute=0, second=0), 10)
    services.roll_up(factory=acme, until=now, at=now)
    waiting = services.report_usage(factory=acme, at=now)

    wire.before = lambda _method, _path: None
    opened = services.open_subscription(subscription_id=str(subscription.pk))
    sent = services.report_usage(factory=acme, at=now)

    assert (waiting.n_sent, waiting.n_waiting) == (0, 3)
    assert opened.period_start == then
    assert (sent.n_sent, sent.n_waiting) == (3, 0)
    assert stripe.preview(opened.stripe_id).total == 2900


def test_opening_twice_makes_one_customer_and_one_subscription(acme, started, stripe):
    Subscription.objects.filter(pk=started.pk).update(stripe_id=None)
    BillingAccount.objects.filter(pk=started.account.pk).update(stripe_customer_id=None)
    customer_id = started.account.stripe_customer_id

    again = services.open_subscription(subscription_id=str(started.pk))

    assert again.stripe_id == started.stripe_id
    assert again.account.stripe_customer_id == customer_id


def test_an_answer_that_was_lost_bills_nothing_twice(acme, started, readings, wire, stripe):
    readings.add("machine:a", OCT_10, 10)
    stripe.advance_clock(clock_id=started.account.test_clock_id, to=OCT_10 + HOUR)
    services.roll_up(factory=acme, until=OCT_10 + HOUR, at=OCT_10 + HOUR)

    def lose(_method, path):
        if path.endswith(("meter_events", "meter_event_stream")):
            raise requests.ReadTimeout("the answer is lost; Stripe has counted")

    wire.after = lose
    lost = services.report_usage(factory=acme, at=OCT_10 + HOUR)
    wire.after = lambda _method, _path: None
    again = services.report_usage(factory=acme, at=OCT_10 + HOUR)

    assert (lost.n_sent, lost.n_waiting) == (0, 3)
    assert (again.n_sent, again.n_waiting) == (3, 0)
    account = services.account_for(acme)
    total = stripe_total(stripe, account, "takt_active_machines", OCT_10, OCT_10 + HOUR)
    assert total == 1


def test_an_amount_whose_answer_was_lost_is_charged_once(acme, started, wire, stripe):
    """Also when its subscription has ended meanwhile, or Stripe has forgotten its key."""
    account = started.account
    line = Adjustment.objects.create(
        account=account, kind="upgrade", period_start=OCT_10, period_end=NOV_1, amount_minor=1419,
        currency="EUR", description="Plant instead of Workshop", identifier="upgrade-1",
        written_at=OCT_10,
    )  # fmt: skip

    def lose(_method, path):
        if path.endswith("invoiceitems"):
            raise requests.ReadTimeout("the answer is lost; the item is there")

    wire.after = lose
    with pytest.raises(StripeAway):
        services.send_adjustments(account_id=str(account.pk), at=OCT_10)
    wire.after = lambda _method, _path: None
    (item,) = stripe.pending_items(account.stripe_customer_id)
    Subscription.objects.filter(pk=started.pk).update(ended_at=OCT_10 + HOUR)

    assert services.send_adjustments(account_id=str(account.pk), at=OCT_10 + 2 * HOUR) == 1
    line.refresh_from_db()
    assert (line.stripe_item_id, line.error, line.n_attempts) == (item.id, "", 2)
    assert services.send_adjustments(account_id=str(account.pk), at=OCT_10 + 3 * HOUR) == 0
    assert [i.id for i in stripe.pending_items(account.stripe_customer_id)] == [item.id]


def test_a_row_known_to_stripe_under_another_key_counts_as_sent(acme, started, readings, stripe):
    readings.add("machine:a", OCT_10, 10)
    stripe.advance_clock(clock_id=started.account.test_clock_id, to=OCT_10 + HOUR)
    services.roll_up(factory=acme, until=OCT_10 + HOUR, at=OCT_10 + HOUR)
    services.report_usage(factory=acme, at=OCT_10 + HOUR)
    LedgerDelivery.objects.update(state="pending", counted_at=OCT_10 + timedelta(minutes=1))

    again = services.report_usage(factory=acme, at=OCT_10 + HOUR)

    assert (again.n_sent, again.n_refused, again.n_waiting) == (3, 0, 0)


def test_what_stripe_refuses_is_put_aside_with_its_reason_and_the_rest_goes_on(
    acme, started, readings, stripe, monkeypatch
):
    def no_stream():
        raise StripeRefused("no such path", code=None, status=404)

    monkeypatch.setattr(stripe, "_event_stream", no_stream)  # told one by one then
    readings.add("machine:a", OCT_10 + 5 * HOUR, 10)  # the clock still stands at OCT_10
    readings.add("machine:a", OCT_10, 10)
    services.roll_up(factory=acme, until=OCT_10 + 6 * HOUR, at=OCT_10 + 6 * HOUR)

    reported = services.report_usage(factory=acme, at=OCT_10 + 6 * HOUR)

    refused = LedgerDelivery.objects.get(state="refused")
    assert (reported.n_sent, reported.n_refused) == (3, 1)
    assert "5 minutes in the future" in refused.error


def test_a_second_plan_cannot_be_started_beside_the_first(acme, started):
    with pytest.raises(services.AlreadySubscribed):
        services.start_subscription(factory=acme, plan="plant", by=None)


def test_unknown_and_free_plans_are_not_started(acme):
    with pytest.raises(plans.UnknownPlan):
        services.start_subscription(factory=acme, plan="gold", by=None)
    with pytest.raises(ValueError, match="costs nothing"):
        services.start_subscription(factory=acme, plan="start", by=None)
    assert not Subscription.objects.exists()


def test_a_larger_plan_is_charged_from_its_hour_on(acme, started, readings):
    readings.add("machine:a", OCT_10 + HOUR, 10)
    readings.add("machine:a", NOV_1, 10)
    readings.add("machine:a", NOV_1 + 5 * HOUR, 25 * M)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)
    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_10 + 5 * HOUR)

    services.run_clock(factory=acme, until=DEC_1 + 3 * HOUR)

    # October on Workshop, and 20.00 more for 523 of its 744 hours; November on Plant with 60 M
    # included: nothing extra.
    november, october = invoices(acme)
    assert (november.total_minor, october.total_minor) == (4900, 2900 + 1406)
    assert october.lines.filter(amount_minor=1406).exists()
    assert FactoryLimits.objects.get(factory=acme).plan == "plant"


def test_plans_may_go_back_and_forth_within_an_hour_of_a_trial(acme, readings, stripe):
    subscription = services.start_subscription(
        factory=acme, plan="plant", by=None, at=OCT_10, trial=True, simulated=True
    )
    services.open_subscription(subscription_id=str(subscription.pk), simulated=True)
    seen = []
    for plan in ("workshop", "plant", "workshop", "plant"):
        services.change_plan(factory=acme, plan=plan, by=None, at=OCT_10)
        services.report_usage(factory=acme, at=OCT_10)
        opened = Subscription.objects.get(pk=subscription.pk)
        items = stripe.subscription(opened.stripe_id or "").items
        seen.append({item.price_id for item in items})

    assert seen[0] == seen[2] != seen[1] == seen[3]


def test_a_smaller_plan_is_charged_from_the_next_month_on(acme, readings, stripe):
    subscription = services.start_subscription(
        factory=acme, plan="plant", by=None, at=OCT_10, simulated=True
    )
    services.open_subscription(subscription_id=str(subscription.pk), simulated=True)
    for hour in (OCT_10 + HOUR, NOV_1, NOV_1 + 5 * HOUR):
        readings.add("machine:a", hour, 11 * M)
    services.change_plan(factory=acme, plan="workshop", by=None, at=OCT_10 + 5 * HOUR)

    services.run_clock(factory=acme, until=DEC_1 + 3 * HOUR)

    # November: 22 M of which 20 M are included.
    assert [i.total_minor for i in invoices(acme)] == [2900 + 50, 4900]
    assert FactoryLimits.objects.get(factory=acme).plan == "workshop"


def test_back_to_start_ends_the_subscription_with_the_month(acme, started, readings):
    Membership.objects.filter(factory=acme).exclude(role="owner").delete()
    readings.add("machine:a", OCT_10 + HOUR, 10)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)

    services.change_plan(factory=acme, plan="start", by=None, at=OCT_10 + 5 * HOUR)
    readings.add("machine:a", NOV_1 + HOUR, 10)
    services.run_clock(factory=acme, until=NOV_1 + 5 * HOUR)

    assert subscription_of(acme) is None
    assert [i.total_minor for i in invoices(acme)] == [2900]
    assert FactoryLimits.objects.get(factory=acme).max_machines == 2
    assert PlanTerm.objects.latest("starts_at").plan == "start"


def test_a_lost_webhook_is_repaired_by_comparing_with_stripe(acme, started, readings, stripe):
    stripe.advance_clock(clock_id=started.account.test_clock_id, to=NOV_1 + 2 * HOUR)
    assert not Invoice.objects.exists()

    n_repaired = services.sync_account(account_id=str(started.account.pk))

    assert n_repaired > 0
    assert Invoice.objects.get().status == "paid"
    assert services.sync_account(account_id=str(started.account.pk)) == 0


def test_the_start_of_a_plan_in_the_middle_of_a_month_charges_only_what_follows(
    acme, readings, stripe
):
    readings.add("machine:a", OCT_10 - 5 * HOUR, 30 * M)
    services.roll_up(factory=acme, until=OCT_10, at=OCT_10)
    subscription = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_10, simulated=True
    )
    services.open_subscription(subscription_id=str(subscription.pk), simulated=True)
    readings.add("machine:a", OCT_10 + HOUR, 5)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)

    summary = usage_summary(acme, OCT_10 + 5 * HOUR)

    assert summary.period_start == OCT_10
    assert (summary.so_far_minor, summary.meters[1].used) == (2900, 5)


# -- the page --------------------------------------------------------------------------------------
def test_a_factory_that_never_paid_sees_its_usage_at_no_cost(acme, readings):
    readings.add("machine:a", NOV_1, 60)
    services.roll_up(factory=acme, until=NOV_1 + HOUR, at=NOV_1 + HOUR)

    summary = usage_summary(acme, NOV_1 + HOUR)

    assert (summary.plan.key, summary.status, summary.so_far_minor) == ("start", "", 0)
    assert [(m.meter, m.used) for m in summary.meters][:2] == [
        (Meter.ACTIVE_MACHINES, 1),
        (Meter.READINGS, 60),
    ]
    assert summary.previous == ()


def test_a_factory_without_any_usage_has_an_empty_page(acme, readings):
    summary = usage_summary(acme, NOV_1 + HOUR)

    assert (summary.so_far_minor, summary.forecast_minor, summary.machines) == (0, 0, ())
    assert summary.counted_to is None


def test_the_page_adds_up_and_shows_the_month_before(acme, started, readings):
    for day in range(38):
        for source, n in (("a", 2 * M), ("b", M)):
            readings.add(f"machine:{source}", OCT_10 + timedelta(days=day, hours=8), n)
    at = OCT_10 + timedelta(days=38)
    services.run_clock(factory=acme, until=at)

    s = usage_summary(acme, at)

    assert s.so_far_minor == sum(m.so_far_minor for m in s.meters) == s.daily[-1].total_minor
    assert s.forecast_minor == sum(m.forecast_minor for m in s.meters)
    assert s.forecast_minor == s.forecast_daily[-1].expected_minor
    assert s.forecast_low_minor <= s.forecast_minor <= s.forecast_high_minor
    assert sum(machine.cost_minor for machine in s.machines) == s.so_far_minor
    # October: 22 days of 3 M over 40 M included; November so far 16 days, 30 days in the end.
    assert s.previous_total_minor == 5800 + 26 * 25 == s.previous[-1].total_minor
    assert s.so_far_minor == 5800 + 8 * 25
    assert s.forecast_minor == 5800 + 50 * 25
    assert [d.on.day for d in s.daily] == list(range(1, 17))


def test_ledger_and_stripe_are_compared_and_a_difference_is_named(acme, started, readings, stripe):
    readings.add("machine:a", OCT_10, 10)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)
    account = services.account_for(acme)
    assert services.usage_differences(account_id=str(account.pk)) == []

    stripe.report_usage(
        identifier=f"by-hand-{account.pk}", event_name="takt_active_machines",
        customer_id=account.stripe_customer_id or "", quantity=1, at=OCT_10,
    )  # fmt: skip

    (found,) = services.usage_differences(account_id=str(account.pk))
    assert (found.event_name, found.ledger, found.stripe) == ("takt_active_machines", 1, 2)


def test_without_a_key_for_stripe_everything_waits_and_nothing_breaks(acme, readings, settings):
    settings.STRIPE_API_KEY = ""
    subscription = services.start_subscription(factory=acme, plan="workshop", by=None)

    with pytest.raises(StripeAway, match="STRIPE_API_KEY"):
        services.open_subscription(subscription_id=str(subscription.pk))
    assert services.report_usage(factory=acme).n_sent == 0


def test_usage_that_could_not_be_told_before_its_invoice_was_fixed_is_on_the_next(
    acme, started, readings, stripe, wire
):
    clock_id = started.account.test_clock_id
    readings.add("machine:a", OCT_10 + HOUR, 10)
    wire.before = away
    services.roll_up(factory=acme, until=NOV_1, at=NOV_1 + timedelta(minutes=5))
    services.report_usage(factory=acme, at=NOV_1 + timedelta(minutes=5))
    wire.before = lambda _method, _path: None
    stripe.advance_clock(clock_id=clock_id, to=NOV_1 + 72 * HOUR)  # three days without Stripe

    services.report_usage(factory=acme, at=NOV_1 + 72 * HOUR)
    shown = usage_summary(acme, NOV_1 + 72 * HOUR)
    stripe.advance_clock(clock_id=clock_id, to=DEC_1 + 2 * HOUR)
    services.sync_account(account_id=str(started.account.pk))

    assert shown.so_far_minor == 0
    december, november = invoices(acme)
    assert (november.total_minor, december.total_minor) == (0, 2900)
    late = december.lines.get(amount_minor=2900)
    assert late.description == "Late usage of October 2026: 1 machine, 10 readings"
    assert (late.period_start, late.period_end) == (OCT_10, NOV_1)
