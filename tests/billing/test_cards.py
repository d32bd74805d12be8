"""Cards and paying now: one click brings a factory back from every step, declined or paid."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from billing import services
from billing.gateways import StripeAway
from billing.models import Invoice
from billing.services import cards
from tenants.models import AuditEntry, FactoryLimits
from tests.billing.conftest import HOUR, NOV_1
from tests.billing.test_chain import away

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
NOV_25 = datetime(2026, 11, 25, tzinfo=UTC)
FAILING = "pm_card_chargeCustomerFail"


def add(acme, name="pm_card_visa"):
    services.use_card(factory=acme, payment_method=name)
    return cards.cards(acme)[0]


def forget(acme, card):
    cards.forget_card(factory=acme, card_id=card.id, by=None, at=timezone.now())


def pay(acme, at=NOV_25):
    return cards.pay_now(factory=acme, by=None, at=at)


@pytest.fixture
def overdue(acme, stripe, readings):
    """acme with October's invoice (29.00) refused since the first of November: suspended."""
    started = services.start_subscription(
        factory=acme, plan="workshop", by=None, at=OCT_1, simulated=True
    )
    services.open_subscription(subscription_id=str(started.pk), simulated=True)
    services.use_card(factory=acme, payment_method=FAILING)
    readings.add("machine:a", OCT_1 + HOUR, 5)
    services.run_clock(factory=acme, until=NOV_1 + 3 * HOUR)
    account = services.account_for(acme)
    assert services.review_standing(account_id=str(account.pk), at=NOV_25) == "read_only"
    return account


def test_cards_are_listed_newest_first(acme, stripe):
    assert cards.cards(acme) == []
    add(acme)
    add(acme, "pm_card_mastercard")

    assert [(c.brand, c.is_default) for c in cards.cards(acme)] == [
        ("mastercard", True),
        ("visa", False),
    ]


def test_another_card_is_chosen(acme, stripe):
    first = add(acme)
    add(acme, "pm_card_mastercard")

    cards.use_as_default(factory=acme, card_id=first.id, by=None, at=timezone.now())

    assert [c.brand for c in cards.cards(acme) if c.is_default] == ["visa"]
    assert AuditEntry.objects.filter(factory=acme, action="billing.card_chosen").exists()


def test_the_newest_of_the_others_takes_the_place_of_a_card_that_is_forgotten(acme, stripe):
    add(acme)
    add(acme, "pm_card_amex")
    last = add(acme, "pm_card_mastercard")

    forget(acme, last)

    assert [(c.brand, c.is_default) for c in cards.cards(acme)] == [
        ("amex", True),
        ("visa", False),
    ]


def test_a_card_of_another_factory_is_unknown(acme, globex, stripe):
    card = add(globex)
    add(acme)

    with pytest.raises(cards.UnknownCard):
        forget(acme, card)
    with pytest.raises(cards.UnknownCard):
        cards.use_as_default(factory=acme, card_id=card.id, by=None, at=timezone.now())

    assert len(cards.cards(globex)) == 1


def test_the_last_card_stays_while_a_plan_is_charged_to_it(acme, stripe):
    card = add(acme)
    started = services.start_subscription(factory=acme, plan="workshop", by=None)
    services.open_subscription(subscription_id=str(started.pk))

    with pytest.raises(cards.CardNeeded, match="plan is charged"):
        forget(acme, card)

    add(acme, "pm_card_mastercard")
    forget(acme, card)
    assert [c.brand for c in cards.cards(acme)] == ["mastercard"]


def test_the_last_card_stays_while_an_invoice_is_open(acme, overdue):
    (card,) = cards.cards(acme)
    with pytest.raises(cards.CardNeeded, match="invoice is open"):
        forget(acme, card)


def test_in_a_trial_and_on_start_the_last_card_may_go(acme, globex, stripe):
    started = services.start_subscription(factory=acme, plan="workshop", by=None, trial=True)
    services.open_subscription(subscription_id=str(started.pk))
    for factory in (acme, globex):
        forget(factory, add(factory))
        assert cards.cards(factory) == []


@pytest.mark.slow
def test_a_declined_payment_says_the_bank_s_words_and_opens_nothing(acme, overdue):
    answer = pay(acme)

    assert isinstance(answer, cards.Declined)
    assert (answer.n_paid, "declined" in answer.words) == (0, True)
    assert FactoryLimits.objects.get(factory=acme).read_only
    assert pay(acme, NOV_25 + HOUR) == answer


@pytest.mark.slow
def test_paying_with_another_card_opens_every_door_at_once(acme, overdue):
    pay(acme)
    add(acme)

    answer = pay(acme, NOV_25 + HOUR)

    assert answer == cards.Paid(1, 2900, "EUR")
    limits = FactoryLimits.objects.get(factory=acme)
    assert (limits.standing, limits.read_only) == ("good", False)
    overdue.refresh_from_db()
    assert (overdue.standing, overdue.cause) == ("good", "")
    assert Invoice.objects.get(account=overdue).status == "paid"
    assert overdue.subscriptions.get().status == "active"


@pytest.mark.slow
def test_paying_twice_pays_once(acme, overdue, stripe):
    add(acme)

    assert [pay(acme), pay(acme)] == [cards.Paid(1, 2900, "EUR"), cards.Paid(0, 0, "EUR")]


@pytest.mark.slow
def test_the_oldest_is_paid_first(acme, overdue, stripe, wire):
    stripe.add_invoice_item(
        key=f"more-{overdue.pk}", customer_id=overdue.stripe_customer_id, subscription_id="",
        amount=700, currency="eur", description="Later", period=(NOV_1, NOV_1), metadata={},
    )  # fmt: skip
    stripe.invoice_pending(key=f"now-{overdue.pk}", customer_id=overdue.stripe_customer_id)
    stripe.advance_clock(clock_id=overdue.test_clock_id, to=NOV_1 + 9 * HOUR)
    first = Invoice.objects.get(account=overdue)
    add(acme)
    asked = []
    wire.before = lambda _method, path: asked.append(path) if path.endswith("/pay") else None

    answer = pay(acme)

    assert answer == cards.Paid(2, 3600, "EUR")
    assert asked[0] == f"/v1/invoices/{first.stripe_id}/pay"


@pytest.mark.slow
def test_a_lost_answer_is_found_to_be_paid(acme, overdue, wire):
    add(acme)

    def lose(_method, path):
        if path.endswith("/pay"):
            away("", "")

    wire.after = lose
    with pytest.raises(StripeAway):
        pay(acme)
    wire.after = lambda _method, _path: None

    pay(acme)

    overdue.refresh_from_db()
    assert overdue.standing == "good"


def test_with_nothing_open_nothing_is_paid(acme, stripe):
    assert pay(acme) == cards.Paid(0, 0, "EUR")
