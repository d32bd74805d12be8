"""Codes: typed, checked, good once, and on the bill as on the invoice, to the cent."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing import catalogue, charges, plans, selectors, services
from billing.gateways import StripeAway
from billing.models import Invoice, Subscription
from billing.services import discounts, telling
from tenants.models import AuditEntry, Notification
from tests.billing.conftest import HOUR, NOV_1, on_workshop
from tests.billing.test_chain import away

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
OCT_12 = datetime(2026, 10, 12, 13, tzinfo=UTC)
DAY = timedelta(days=1)
CODE = "WELCOME20"


@pytest.fixture
def account(acme, stripe, readings):
    """acme on Workshop since 1 October with a card, in simulated time: 12 October."""
    account = on_workshop(acme, since=OCT_1)
    stripe.advance_clock(clock_id=account.test_clock_id, to=OCT_12)
    return account


@pytest.fixture
def code(stripe):
    """Make a code at Stripe with the terms given, and return it."""

    def make(**terms):
        name = f"CODE{random.randrange(10**9)}"
        most, off = terms.pop("most", None), terms.pop("off", False)
        terms.setdefault("percent_off", Decimal(10))
        coupon = stripe.create_coupon(key=f"c-{name}", name=name, duration="forever", **terms)
        made = stripe.create_promotion_code(
            key=f"p-{name}", coupon_id=coupon.id, code=name, max_redemptions=most
        )
        if off:
            stripe._v1.promotion_codes.update(made.id, {"active": False})
        return name

    return make


def redeem(acme, code, at=OCT_12):
    return discounts.redeem(factory=acme, code=code, by=None, at=at)


def test_a_code_of_the_price_list_takes_off_for_its_months(acme, account):
    found = redeem(acme, " welcome20 ")

    assert (found.promotion_code, found.percent_off) == (CODE, 20)
    assert found.discount_ends_at == datetime(2027, 1, 12, 13, tzinfo=UTC)
    assert AuditEntry.objects.filter(factory=acme, action="billing.code_used").exists()


# What is taken off is rounded for each line: on the total it would be another sum.
@pytest.mark.parametrize(
    ("lines", "percent", "left"),
    [
        ([], 20, 0), ([100], 20, 80), ([1, 1, 1], 50, 0), ([3], 50, 1), ([33, 33, 33], 33, 66),
        ([5800, -1200], 20, 3440), ([2900, 325], None, 3225), ([7], 100, 0),
    ],
)  # fmt: skip
def test_a_discount_is_rounded_on_each_line(lines, percent, left):
    assert charges.discounted(lines, percent_off=percent) == left


@pytest.mark.slow
def test_the_bill_shown_is_the_invoice_to_the_cent(acme, account, code, stripe, readings):
    redeem(acme, code(percent_off=Decimal(17)))
    for n in range(3):
        readings.add(f"machine:{n}", OCT_12 + HOUR, 31_234_567 + n)
    services.roll_up(factory=acme, until=NOV_1, at=NOV_1)
    shown = selectors.usage_summary(acme, NOV_1 - HOUR)

    services.run_clock(factory=acme, until=NOV_1 + 3 * HOUR)

    invoice = Invoice.objects.filter(account=account).latest("created_at")
    assert invoice.discount_minor > 0
    assert invoice.total_minor == shown.so_far_minor


@pytest.mark.slow
def test_our_rounding_is_stripe_s_for_many_amounts(account, stripe, code):
    """Lines of random amounts and signs on invoices with random percentages."""
    dice = random.Random(6)
    live = account.subscriptions.get()
    for n in range(12):
        percent = dice.randint(1, 99)
        found = stripe.promotion_code(code(percent_off=Decimal(percent)))
        stripe.apply_promotion_code(
            key=f"many-{live.pk}-{n}", subscription_id=live.stripe_id, promotion_code_id=found.id
        )
        stripe.add_invoice_item(
            key=f"line-{live.pk}-{n}", customer_id=account.stripe_customer_id,
            subscription_id=live.stripe_id, amount=dice.choice([-1, 1, 1]) * dice.randint(1, 9999),
            currency="eur", description="Some", period=(OCT_1, OCT_12), metadata={},
        )  # fmt: skip
        shown = stripe.preview(live.stripe_id)
        lines = [line.amount for line in shown.lines]
        assert charges.discounted(lines, percent_off=percent) == shown.subtotal - shown.discount


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"most": 1}, "as often as it may"),
        ({"off": True}, "is over"),
        ({"percent_off": Decimal("12.5")}, "cannot be used here"),
        ({"percent_off": None, "amount_off": 500, "currency": "eur"}, "cannot be used here"),
    ],
)
def test_a_code_that_is_not_good_is_refused_with_words(acme, account, code, stripe, terms, words):
    name = code(**terms)
    if "most" in terms:
        found = stripe.promotion_code(name)
        stripe.apply_promotion_code(
            key=f"first-{name}", subscription_id=account.subscriptions.get().stripe_id,
            promotion_code_id=found.id,
        )  # fmt: skip

    with pytest.raises(discounts.UnknownCode, match=words):
        redeem(acme, name)

    live = Subscription.objects.get()
    assert (live.promotion_code, live.percent_off) == ("", None)


@pytest.mark.parametrize("typed", ["NOTHING-LIKE-IT", "", "  "])
def test_an_unknown_code_is_refused(acme, account, typed):
    with pytest.raises(discounts.UnknownCode, match="no such code"):
        redeem(acme, typed)


def test_a_code_is_good_once_and_one_holds_at_a_time(acme, account, code):
    redeem(acme, CODE)
    with pytest.raises(discounts.UnknownCode, match="used before"):
        redeem(acme, CODE)
    with pytest.raises(discounts.UnknownCode, match="20 % are taken off until 12 January 2027"):
        redeem(acme, code())

    Subscription.objects.update(discount_ends_at=OCT_12)
    second = code()
    redeem(acme, second, at=OCT_12 + DAY)

    with pytest.raises(discounts.UnknownCode, match="used before"):
        redeem(acme, CODE, at=OCT_12 + DAY)


def test_start_has_nothing_to_take_off(globex, stripe):
    with pytest.raises(discounts.UnknownCode, match="paid plan"):
        redeem(globex, CODE)


def test_a_known_code_is_taken_though_stripe_is_away(acme, account, stripe, wire):
    wire.before = away
    found = redeem(acme, CODE)
    assert (found.percent_off, found.code_told) == (20, False)

    wire.before = lambda _method, _path: None
    for _ in range(2):
        telling.tell_rest(account_id=str(account.pk), at=OCT_12 + HOUR)

    assert stripe.subscription(found.stripe_id).discount.code == CODE
    assert Subscription.objects.get().code_told


def test_another_code_cannot_be_checked_while_stripe_is_away(acme, account, wire):
    wire.before = away
    with pytest.raises(StripeAway):
        redeem(acme, "SOMETHING")
    assert Subscription.objects.get().promotion_code == ""


def test_a_code_refused_later_is_written_to_the_owner_and_forgotten(acme, account, stripe, wire):
    wire.before = away
    redeem(acme, CODE)
    Subscription.objects.update(promotion_code="SWITCHED-OFF")
    wire.before = lambda _method, _path: None

    telling.tell_rest(account_id=str(account.pk), at=OCT_12 + HOUR)

    live = Subscription.objects.get()
    assert (live.promotion_code, live.percent_off, live.code_told) == ("", None, True)
    assert Notification.objects.filter(factory=acme, subject__contains="not accepted").exists()


def test_the_bill_does_not_show_a_discount_that_ends_before_its_invoice(acme, account, readings):
    redeem(acme, CODE)
    Subscription.objects.update(discount_ends_at=OCT_12 + DAY)
    readings.add("machine:a", OCT_12, 5)
    services.roll_up(factory=acme, until=OCT_12 + HOUR, at=OCT_12 + HOUR)

    shown = selectors.usage_summary(acme, OCT_12 + HOUR)

    assert shown.so_far_minor == plans.WORKSHOP.machine_price


# -- with the first plan ---------------------------------------------------------------------------
def offer(acme, code, plan="workshop", at=OCT_1):
    return discounts.offer(factory=acme, plan=plans.plan(plan), code=code, at=at)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"most": 1}, "as often as it may"),
        ({"off": True}, "is over"),
        ({"percent_off": Decimal("12.5")}, "cannot be used here"),
    ],
)
def test_a_code_is_checked_before_a_plan_begins(acme, account, globex, code, stripe, terms, words):
    name = code(**terms)
    if "most" in terms:
        found = stripe.promotion_code(name)
        stripe.apply_promotion_code(
            key=f"first-{name}", subscription_id=account.subscriptions.get().stripe_id,
            promotion_code_id=found.id,
        )  # fmt: skip

    with pytest.raises(discounts.UnknownCode, match=f"{name}.*{words}"):
        services.preview_change(factory=globex, plan="workshop", code=name, at=OCT_1)
    with pytest.raises(discounts.UnknownCode, match=words):
        discounts.start_with_code(
            factory=globex, plan="workshop", code=name, by=None, trial=False, at=OCT_1
        )

    assert not Subscription.objects.filter(account__factory=globex).exists()


def test_a_code_for_other_plans_is_refused(acme, stripe):
    plant = catalogue.product_ids(stripe, plans.PLANT)
    name = f"PLANT{random.randrange(10**9)}"
    coupon = stripe._v1.coupons.create(
        {"percent_off": 10, "duration": "forever", "applies_to": {"products": sorted(plant)}}
    )
    stripe.create_promotion_code(key=f"p-{name}", coupon_id=coupon.id, code=name)

    assert offer(acme, name, "plant").percent_off == 10
    with pytest.raises(discounts.UnknownCode, match=f"{name} is not for Workshop"):
        offer(acme, name)


def test_a_code_for_another_customer_or_used_before_is_refused(acme, account, globex, code, stripe):
    name = f"MINE{random.randrange(10**9)}"
    coupon = stripe.create_coupon(key=f"c-{name}", name=name, percent_off=Decimal(10))
    stripe._v1.promotion_codes.create(
        {
            "code": name,
            "customer": account.stripe_customer_id,
            "promotion": {"type": "coupon", "coupon": coupon.id},
        }
    )
    with pytest.raises(discounts.UnknownCode, match="for another customer"):
        offer(globex, name)

    redeem(acme, CODE)
    Subscription.objects.update(ended_at=OCT_12)
    with pytest.raises(discounts.UnknownCode, match="used before"):
        offer(acme, CODE)


def test_a_plan_that_begins_has_no_second_code(acme, account, globex):
    with pytest.raises(discounts.UnknownCode, match="use it for the one you have"):
        offer(acme, CODE)
    with pytest.raises(discounts.UnknownCode, match="Start is free"):
        offer(globex, CODE, "start")


@pytest.mark.slow
def test_the_first_invoice_is_what_the_preview_showed(acme, stripe, readings, code):
    for n in range(3):
        readings.add(f"machine:{n}", OCT_1 - HOUR, 5)
        readings.add(f"machine:{n}", OCT_12, 5)
    services.roll_up(factory=acme, until=OCT_1, at=OCT_1)
    name = code(percent_off=Decimal(17))
    shown = services.preview_change(factory=acme, plan="workshop", code=name, at=OCT_1)
    started = discounts.start_with_code(
        factory=acme, plan="workshop", code=name, by=None, trial=False, at=OCT_1
    )
    services.open_subscription(subscription_id=str(started.pk), simulated=True)
    telling.tell_rest(account_id=str(started.account_id), at=OCT_1)

    services.run_clock(factory=acme, until=NOV_1 + 3 * HOUR)

    # By hand: 3 x 29.00 = 87.00; 17 % of it is 14.79.
    assert (shown.month_after_minor, shown.month_off_minor) == (8700, 1479)
    invoice = Invoice.objects.latest("created_at")
    assert (invoice.total_minor, invoice.discount_minor) == (8700 - 1479, 1479)
    live = Subscription.objects.get()
    assert (live.code_told, live.percent_off, live.promotion_code) == (True, 17, name)


def test_a_code_that_is_over_before_the_first_invoice_takes_nothing_off(acme, readings, stripe):
    readings.add("machine:a", OCT_12 - HOUR, 5)
    services.roll_up(factory=acme, until=OCT_12, at=OCT_12)

    def off(code, *, trial):
        shown = services.preview_change(
            factory=acme, plan="workshop", code=code, trial=trial, at=OCT_12
        )
        return shown.month_off_minor

    month = f"MONTH{random.randrange(10**9)}"
    coupon = stripe.create_coupon(
        key=f"c-{month}", name=month, percent_off=Decimal(10), duration="repeating", months=1
    )
    stripe.create_promotion_code(key=f"p-{month}", coupon_id=coupon.id, code=month)

    # The trial is free until 1 December, so that its first invoice is made on 1 January.
    assert (off(month, trial=False), off(month, trial=True)) == (290, 0)
    assert (off(CODE, trial=False), off(CODE, trial=True)) == (580, 580)


def test_a_code_used_up_since_it_was_typed_does_not_keep_the_plan(
    acme, account, globex, code, stripe
):
    name = code(most=1)
    started = discounts.start_with_code(
        factory=globex, plan="workshop", code=name, by=None, trial=False, at=OCT_12
    )
    assert (started.percent_off, started.code_told) == (10, False)
    found = stripe.promotion_code(name)
    stripe.apply_promotion_code(
        key=f"first-{name}", subscription_id=account.subscriptions.get().stripe_id,
        promotion_code_id=found.id,
    )  # fmt: skip

    opened = services.open_subscription(subscription_id=str(started.pk), simulated=True)
    telling.tell_rest(account_id=str(opened.account_id), at=OCT_12)

    opened.refresh_from_db()
    assert (opened.stripe_id is not None, opened.promotion_code, opened.percent_off) == (
        True, "", None,
    )  # fmt: skip
    assert Notification.objects.filter(factory=globex, subject__contains="not accepted").exists()
