"""Machines by the year: paid at once or not at all, previewed to the cent, renewed as wished."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.utils import timezone

from billing import bills, services
from billing.models import Invoice, PrepaidTerm, YearlyMachines
from billing.periods import month_start, next_full_hour
from billing.plans import Item
from billing.services import prepaying, telling, yearly
from tenants.models import AuditEntry, Job, Notification
from tests.billing.conftest import HOUR, on_workshop
from tests.billing.test_chain import away

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_10 = datetime(2026, 10, 10, 9, 20, tzinfo=UTC)
DAY = timedelta(days=1)
pytestmark = pytest.mark.slow


@pytest.fixture
def account(acme, stripe, readings):
    """acme on Workshop since 1 October with a card, in simulated time: 10 October, 9:20."""
    account = on_workshop(acme, since=OCT_1)
    go_to(account, stripe, OCT_10)
    return account


def go_to(account, stripe, at):
    """Let Stripe's time pass, and the hourly work here afterwards."""
    account.refresh_from_db()
    now = stripe.clock_time(account.test_clock_id)
    while now < at:
        now = min(at, now + 59 * DAY)  # Stripe moves a clock by two periods at most
        stripe.advance_clock(clock_id=account.test_clock_id, to=now)
    services.sync_account(account_id=str(account.pk), at=at)
    telling.tell_rest(account_id=str(account.pk), at=at)


def buy(acme, n, at=OCT_10):
    return yearly.set_yearly(factory=acme, n_machines=n, by=None, at=at)


def last_term():
    return PrepaidTerm.objects.latest("starts_at")


def years_later(at, n=1):
    return at.replace(year=at.year + n)


def item_of(stripe):
    (row,) = YearlyMachines.objects.all()
    return stripe.subscription(row.stripe_id).items[0]


def yearly_invoices(account, stripe):
    services.sync_account(account_id=str(account.pk))
    (row,) = YearlyMachines.objects.filter(account=account)
    return list(
        Invoice.objects.filter(stripe_subscription_id=row.stripe_id).order_by("created_at", "pk")
    )


def test_machines_are_paid_for_a_year_and_the_preview_said_so(acme, account, stripe):
    shown = yearly.preview_yearly(factory=acme, n_machines=3, at=OCT_10)

    row = buy(acme, 3)

    (invoice,) = yearly_invoices(account, stripe)
    # Ten months' price a machine: 290.00; twelve months cost 348.00.
    assert (invoice.status, invoice.total_minor) == ("paid", 87_000)
    assert shown.due_now_minor == sum(line.amount_minor for line in shown.lines) == 87_000
    assert shown.saving_minor == 3 * 5_800
    assert row.period_end == years_later(OCT_10)
    assert shown.renews_on == row.period_end.date()
    assert AuditEntry.objects.filter(factory=acme, action="billing.yearly_set").exists()


def test_paid_machines_are_taken_off_the_meter_from_the_next_full_hour_on(
    acme, account, readings
):  # fmt: skip
    for n, source in enumerate("abc"):
        readings.add(f"machine:{source}", OCT_10.replace(minute=0) + n * HOUR, 5)

    buy(acme, 2)

    term = PrepaidTerm.objects.get()
    assert (term.n_machines, term.starts_at) == (2, OCT_10.replace(hour=10, minute=0))
    services.roll_up(factory=acme, until=OCT_10 + DAY, at=OCT_10 + DAY)
    bill = bills.month_bill(account, month_start(OCT_10))
    assert bill.charged(Item.MACHINES) == 2900


@pytest.mark.parametrize(("n", "days"), [(2, 0), (3, 1), (7, 100), (40, 364)])
def test_more_machines_cost_to_the_cent_what_the_preview_said(acme, account, stripe, n, days):
    buy(acme, 1)
    at = OCT_10 + days * DAY + timedelta(hours=5, minutes=7, seconds=11)
    go_to(account, stripe, at)
    shown = yearly.preview_yearly(factory=acme, n_machines=n, at=at)

    row = buy(acme, n, at=at)

    _first, second = yearly_invoices(account, stripe)
    assert (second.status, second.total_minor) == ("paid", shown.due_now_minor)
    assert [li.amount_minor for li in second.lines.order_by("position")] == [
        li.amount_minor for li in shown.lines
    ]
    share = (row.period_end - at) / (row.period_end - OCT_10)
    assert second.total_minor == pytest.approx((n - 1) * 29_000 * share, abs=1)
    assert (row.n_machines, item_of(stripe).quantity) == (n, n)
    assert last_term().starts_at == next_full_hour(at)


def test_a_preview_holds_for_its_moment_though_it_is_confirmed_later(acme, account, stripe):
    buy(acme, 1)
    shown = yearly.preview_yearly(factory=acme, n_machines=4, at=OCT_10 + HOUR)
    go_to(account, stripe, OCT_10 + 30 * HOUR)

    buy(acme, 4, at=OCT_10 + HOUR)

    assert yearly_invoices(account, stripe)[-1].total_minor == shown.due_now_minor


def test_a_declined_card_buys_nothing(acme, account, stripe):
    services.use_card(factory=acme, payment_method="pm_card_chargeCustomerFail")

    with pytest.raises(yearly.NotPaid, match="declined"):
        buy(acme, 3)

    assert not YearlyMachines.objects.exists()
    assert not PrepaidTerm.objects.exists()
    services.sync_account(account_id=str(account.pk))
    assert not Invoice.objects.filter(status="open").exists()


def test_a_declined_card_leaves_the_number_as_it_was(acme, account, stripe):
    buy(acme, 3)
    services.use_card(factory=acme, payment_method="pm_card_chargeCustomerFail")

    with pytest.raises(yearly.NotPaid, match="declined"):
        buy(acme, 5, at=OCT_10 + HOUR)

    row = YearlyMachines.objects.get()
    assert (row.n_machines, row.wanted_machines, item_of(stripe).quantity) == (3, None, 3)
    assert PrepaidTerm.objects.get().n_machines == 3
    assert len(yearly_invoices(account, stripe)) == 1


def test_fewer_machines_hold_from_the_renewal_on(acme, account, stripe):
    buy(acme, 5)
    row = buy(acme, 2, at=OCT_10 + DAY)
    assert (row.n_machines, row.renewal_machines, item_of(stripe).quantity) == (5, 2, 5)
    end = row.period_end

    for before in (2 * DAY, HOUR):
        go_to(account, stripe, end - before)
    go_to(account, stripe, end + 2 * HOUR)

    row.refresh_from_db()
    assert (row.n_machines, row.renewal_machines) == (2, None)
    assert row.period_end == years_later(OCT_10, 2)
    assert [i.total_minor for i in yearly_invoices(account, stripe)] == [145_000, 58_000]
    terms = PrepaidTerm.objects.order_by("starts_at").values_list("n_machines", "starts_at")
    assert list(terms)[-1] == (2, next_full_hour(end))


def test_a_renewal_that_stripe_made_too_large_is_put_right(acme, account, stripe):
    row = buy(acme, 5)
    buy(acme, 2, at=OCT_10 + DAY)

    go_to(account, stripe, row.period_end + 2 * HOUR)  # nobody told Stripe in time

    whole, renewed, back = yearly_invoices(account, stripe)
    assert (whole.total_minor, renewed.total_minor, back.total_minor) == (145_000, 145_000, -87_000)
    row.refresh_from_db()
    assert (row.n_machines, item_of(stripe).quantity) == (2, 2)


def test_more_machines_just_before_a_smaller_renewal_are_charged_over_what_is_paid(
    acme, account, stripe
):
    row = buy(acme, 5)
    buy(acme, 2, at=OCT_10 + DAY)
    at = row.period_end - DAY
    go_to(account, stripe, at)
    assert item_of(stripe).quantity == 2
    shown = yearly.preview_yearly(factory=acme, n_machines=6, at=at)

    row = buy(acme, 6, at=at)

    last = yearly_invoices(account, stripe)[-1]
    # A day of 365: six machines 4.77, five of them paid, 3.97.
    assert last.total_minor == shown.due_now_minor == 80
    assert (row.n_machines, row.renewal_machines) == (6, None)


def test_an_ended_year_is_not_renewed(acme, account, stripe):
    row = buy(acme, 2)
    yearly.end_yearly(factory=acme, by=None)
    assert stripe.subscription(row.stripe_id).cancel_at_period_end

    go_to(account, stripe, row.period_end + 2 * HOUR)

    row.refresh_from_db()
    assert row.ended_at == row.period_end
    last = last_term()
    assert (last.n_machines, last.starts_at) == (0, next_full_hour(row.period_end))
    assert len(yearly_invoices(account, stripe)) == 1


def test_an_end_is_taken_back_with_the_present_number(acme, account, stripe):
    buy(acme, 2)
    yearly.end_yearly(factory=acme, by=None)

    row = buy(acme, 2, at=OCT_10 + DAY)

    assert row.renews
    assert not stripe.subscription(row.stripe_id).cancel_at_period_end
    assert PrepaidTerm.objects.count() == 1


def test_a_year_does_not_outlive_its_plan(acme, account, stripe):
    row = buy(acme, 2)
    services.cancel_subscription(factory=acme, by=None, at=OCT_10 + DAY)

    telling.tell_rest(account_id=str(account.pk), at=OCT_10 + DAY)

    assert stripe.subscription(row.stripe_id).cancel_at_period_end


def test_a_larger_plan_costs_the_difference_for_the_rest_of_the_year(acme, account, stripe):
    row = buy(acme, 2)
    at = OCT_10 + 100 * DAY
    go_to(account, stripe, at)

    services.change_plan(factory=acme, plan="plant", by=None, at=at)
    telling.tell_rest(account_id=str(account.pk), at=at)

    row.refresh_from_db()
    assert (row.plan, row.n_machines) == ("plant", 2)
    since = at.replace(minute=0)
    share = (row.period_end - since) / (row.period_end - OCT_10)
    difference = yearly_invoices(account, stripe)[-1]
    assert difference.status == "paid"
    assert difference.total_minor == pytest.approx(2 * 20_000 * share, abs=1)
    telling.tell_rest(account_id=str(account.pk), at=at + HOUR)
    assert len(yearly_invoices(account, stripe)) == 2


def test_a_smaller_plan_is_paid_from_the_renewal_on(acme, account, stripe):
    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_10)
    row = buy(acme, 1)
    services.change_plan(factory=acme, plan="workshop", by=None, at=OCT_10 + HOUR)

    go_to(account, stripe, row.period_end - HOUR)
    go_to(account, stripe, row.period_end + 2 * HOUR)

    assert [i.total_minor for i in yearly_invoices(account, stripe)] == [49_000, 29_000]
    row.refresh_from_db()
    assert row.plan == "workshop"


def test_a_wish_waits_for_stripe_and_is_charged_once(acme, account, stripe, wire):
    row = buy(acme, 1)
    wire.before = away
    at = OCT_10 + HOUR
    row = buy(acme, 3, at=at)
    assert (row.n_machines, row.wanted_machines) == (1, 3)
    assert Job.objects.filter(task="billing.tell_change", state="queued").exists()

    wire.before = lambda _method, _path: None
    for _ in range(2):
        telling.tell_rest(account_id=str(account.pk), at=at + 5 * HOUR)

    row.refresh_from_db()
    assert (row.n_machines, row.wanted_machines) == (3, None)
    assert len(yearly_invoices(account, stripe)) == 2


@pytest.mark.parametrize("waited", [HOUR, 3 * DAY])
def test_a_purchase_whose_answer_was_lost_is_made_once(acme, account, stripe, wire, waited):
    def lose(_method, path):
        if path == "/v1/subscriptions":
            raise requests.ConnectionError("lost")

    wire.after = lose
    row = buy(acme, 2)
    assert row.stripe_id is None
    wire.after = lambda _method, _path: None

    telling.tell_rest(account_id=str(account.pk), at=OCT_10 + waited)

    told = YearlyMachines.objects.get(pk=row.pk)
    assert told.stripe_id
    assert len(yearly_invoices(account, stripe)) == 1
    paid = [i for i in stripe.invoices(account.stripe_customer_id) if i.total == 58_000]
    assert len(paid) == 1


def test_a_card_declined_later_is_written_to_the_owner(acme, account, stripe, wire):
    wire.before = away
    buy(acme, 2)
    wire.before = lambda _method, _path: None
    services.use_card(factory=acme, payment_method="pm_card_chargeCustomerFail")

    telling.tell_rest(account_id=str(account.pk), at=OCT_10 + HOUR)

    assert not YearlyMachines.objects.exists()
    (said,) = Notification.objects.filter(factory=acme, topic="billing").distinct("subject")
    assert "declined" in said.text


def test_an_unpaid_renewal_leaves_the_account_overdue(acme, account, stripe):
    row = buy(acme, 2)
    services.use_card(factory=acme, payment_method="pm_card_chargeCustomerFail")

    go_to(account, stripe, row.period_end + 2 * HOUR)

    at = row.period_end + 2 * HOUR
    assert services.review_standing(account_id=str(account.pk), at=at) == "past_due"


def test_the_webhook_of_a_yearly_subscription_brings_its_mirror_up_to_date(acme, account, stripe):
    row = buy(acme, 2)
    stripe.cancel_now(key="by-staff", subscription_id=row.stripe_id, invoice_now=False)

    services.mirror.sync_subscription(
        account, stripe_id=row.stripe_id, stripe=stripe, at=OCT_10 + HOUR
    )

    row.refresh_from_db()
    assert row.ended_at is not None
    assert last_term().n_machines == 0


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda acme: services.cancel_subscription(factory=acme, by=None, at=OCT_10), "to end"),
        (lambda acme: YearlyMachines.objects.create(
            account=acme.billing_account, plan="workshop", version=2, n_machines=1,
            started_at=OCT_10,
        ), "on its way"),
    ],
)  # fmt: skip
def test_it_is_refused_with_words(acme, account, prepare, words):
    prepare(acme)

    with pytest.raises(yearly.YearlyNotOffered, match=words):
        buy(acme, 2)


def test_neither_start_nor_a_trial_has_it(acme, globex, stripe):
    with pytest.raises(yearly.YearlyNotOffered, match="on Start"):
        buy(globex, 1)
    services.start_subscription(
        factory=acme, plan="workshop", by=None, at=timezone.now(), trial=True
    )
    with pytest.raises(yearly.YearlyNotOffered, match="trial"):
        buy(acme, 1, at=timezone.now())


def test_settling_twice_changes_nothing(acme, account, stripe, wire):
    buy(acme, 2)
    posts = []
    wire.before = lambda method, path: posts.append(path) if method == "POST" else None

    prepaying.settle(account_id=str(account.pk), at=OCT_10 + HOUR)

    assert posts == []
