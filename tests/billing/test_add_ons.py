"""Add-ons: booked at once, previewed and prorated by Stripe, on the invoice as was said."""

from datetime import UTC, datetime, timedelta

import pytest

from billing import services
from billing.models import BookedAddOn, Invoice
from billing.services import add_ons, telling
from tests.billing.conftest import HOUR, NOV_1, on_workshop
from tests.billing.test_chain import away

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_12 = datetime(2026, 10, 12, 13, 47, 5, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = "fast_answer"
pytestmark = pytest.mark.slow


@pytest.fixture
def account(acme, stripe, readings):
    """acme on Workshop since 1 October with a card, in simulated time: 12 October."""
    account = on_workshop(acme, since=OCT_1)
    go_to(account, stripe, OCT_12)
    return account


def go_to(account, stripe, at):
    account.refresh_from_db()
    stripe.advance_clock(clock_id=account.test_clock_id, to=at)


def tell(account, at):
    telling.tell_rest(account_id=str(account.pk), at=at)


def book(acme, account, at=OCT_12):
    row = add_ons.book_add_on(factory=acme, key=KEY, by=None, at=at)
    tell(account, at)
    row.refresh_from_db()
    return row


def items(account, stripe):
    found = stripe.subscription(account.subscriptions.get(ended_at=None).stripe_id).items
    return [i for i in found if i.quantity is not None]


def next_invoice(account, stripe):
    go_to(account, stripe, NOV_1 + 2 * HOUR)
    services.sync_account(account_id=str(account.pk))
    return Invoice.objects.filter(account=account).latest("created_at")


def test_the_next_invoice_has_the_rest_of_the_month_and_the_month_to_come(acme, account, stripe):
    shown = add_ons.preview_add_on(factory=acme, key=KEY, at=OCT_12)
    row = book(acme, account)

    invoice = next_invoice(account, stripe)

    lines = {li.is_proration: li.amount_minor for li in invoice.lines.exclude(amount_minor=0)}
    share = (NOV_1 - OCT_12) / (NOV_1 - OCT_1)
    assert lines[True] == shown.once_minor == pytest.approx(4900 * share, abs=0.5)
    assert lines[False] == shown.monthly_minor == 4900
    assert invoice.status == "paid"
    assert row.stripe_item_id == items(account, stripe)[0].id


def test_what_is_dropped_is_credited_as_was_said(acme, account, stripe):
    book(acme, account)
    at = OCT_12 + 5 * DAY
    go_to(account, stripe, at)
    shown = add_ons.preview_add_on(factory=acme, key=KEY, at=at)

    add_ons.drop_add_on(factory=acme, key=KEY, by=None, at=at)
    tell(account, at)

    invoice = next_invoice(account, stripe)
    amounts = sorted(li.amount_minor for li in invoice.lines.exclude(amount_minor=0))
    assert amounts[0] == shown.once_minor < 0
    share = 5 * DAY / (NOV_1 - OCT_1)
    assert invoice.total_minor == sum(amounts) == pytest.approx(4900 * share, abs=1)
    assert items(account, stripe) == []


def test_what_is_booked_while_stripe_is_away_counts_from_when_it_was_booked(
    acme, account, stripe, wire
):
    wire.before = away
    add_ons.book_add_on(factory=acme, key=KEY, by=None, at=OCT_12)
    wire.before = lambda _method, _path: None
    go_to(account, stripe, OCT_12 + 3 * DAY)
    tell(account, OCT_12 + 3 * DAY)

    invoice = next_invoice(account, stripe)

    (once,) = [li for li in invoice.lines.all() if li.is_proration]
    assert once.period_start == OCT_12


def test_booking_and_telling_twice_is_once(acme, account, stripe):
    book(acme, account)
    row = book(acme, account, at=OCT_12 + HOUR)

    assert BookedAddOn.objects.get() == row
    assert [i.quantity for i in items(account, stripe)] == [1]


def test_booked_and_dropped_before_stripe_heard_of_it_costs_nothing(acme, account, stripe):
    add_ons.book_add_on(factory=acme, key=KEY, by=None, at=OCT_12)
    add_ons.drop_add_on(factory=acme, key=KEY, by=None, at=OCT_12 + HOUR)
    tell(account, OCT_12 + HOUR)

    assert items(account, stripe) == []
    assert stripe.pending_items(account.stripe_customer_id) == []


def test_dropped_and_booked_again_is_there_again(acme, account, stripe):
    book(acme, account)
    add_ons.drop_add_on(factory=acme, key=KEY, by=None, at=OCT_12 + HOUR)

    row = book(acme, account, at=OCT_12 + 2 * HOUR)

    assert [i.id for i in items(account, stripe)] == [row.stripe_item_id]


def test_a_plan_that_has_it_included_ends_it(acme, account, stripe):
    book(acme, account)
    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_12 + DAY)

    tell(account, OCT_12 + DAY)

    assert BookedAddOn.objects.get().ended_at == OCT_12 + DAY
    assert items(account, stripe) == []


def test_it_is_refused_with_words(acme, account, globex):
    with pytest.raises(add_ons.AddOnNotOffered, match="on Workshop"):
        add_ons.book_add_on(factory=globex, key=KEY, by=None, at=OCT_12)
    with pytest.raises(add_ons.AddOnNotOffered, match="no such"):
        add_ons.book_add_on(factory=acme, key="gold", by=None, at=OCT_12)
    with pytest.raises(add_ons.AddOnNotOffered, match="not booked"):
        add_ons.drop_add_on(factory=acme, key=KEY, by=None)


def test_another_month_is_charged_without_a_proration(acme, account, stripe):
    book(acme, account)
    next_invoice(account, stripe)
    go_to(account, stripe, datetime(2026, 12, 1, 2, tzinfo=UTC))
    services.sync_account(account_id=str(account.pk))

    last = Invoice.objects.filter(account=account).latest("created_at")
    assert last.total_minor == 4900
