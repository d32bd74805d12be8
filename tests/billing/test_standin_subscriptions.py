"""Trials, prorations, previews and discounts of the stand-in, held against Stripe's contract."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.billing.conftest import HOUR
from tests.billing.contract import Refused
from tests.billing.world import DAY, DEC_1, NOV_1, OCT_1, World, amounts

OCT_16 = datetime(2026, 10, 16, 12, tzinfo=UTC)  # the middle of October
MONTHLY = {"day_of_month": 1, "hour": 0, "minute": 0, "second": 0}
pytestmark = pytest.mark.slow


@pytest.fixture
def world(api):
    return World(api)


# -- trials --------------------------------------------------------------------------------------
def test_usage_of_a_trial_is_not_charged(world):
    world.card()
    sub = world.subscribe(
        {"price": world.price(100, metered=True)}, trial_end=OCT_16,
        billing_cycle_anchor_config=MONTHLY, proration_behavior="none",
    )  # fmt: skip
    world.use(5, OCT_1 + HOUR - HOUR)
    world.advance(OCT_16 + HOUR)
    world.use(3, OCT_16 + HOUR)
    world.advance(NOV_1 + 2 * HOUR)

    assert sub["status"] == "trialing"
    assert world.sub(sub)["status"] == "active"
    assert [(i["total"], i["status"]) for i in world.invoices()] == [(300, "paid")]


def test_a_trial_that_ends_at_the_anchor_goes_over_into_a_whole_month(world):
    world.card()
    sub = world.subscribe(
        {"price": world.price(3000)}, trial_end=NOV_1, billing_cycle_anchor_config=MONTHLY
    )
    world.advance(NOV_1 + 2 * HOUR)

    charged, trial = world.invoices()
    assert (trial["total"], trial["lines"]["data"][0]["description"]) == (
        0,
        "Trial period for Desk",
    )
    assert (charged["total"], charged["status"]) == (3000, "paid")
    item = world.sub(sub)["items"]["data"][0]
    assert item["current_period_end"] == int(DEC_1.timestamp())


def test_the_end_of_a_trial_is_told_three_days_before(world):
    world.subscribe({"price": world.price(100)}, trial_period_days=20)
    world.advance(OCT_1 + 17 * DAY - HOUR)
    early = world.events("customer.subscription.trial_will_end")
    world.advance(OCT_1 + 17 * DAY)

    assert early == []
    (told,) = world.events("customer.subscription.trial_will_end")
    assert told["created"] == int((OCT_1 + 17 * DAY).timestamp())


@pytest.mark.parametrize(
    ("behavior", "status", "n_invoices"),
    [("cancel", "canceled", 1), ("pause", "paused", 1), ("create_invoice", "past_due", 2)],
)
def test_a_trial_ends_without_a_card_as_was_agreed(world, behavior, status, n_invoices):
    sub = world.subscribe(
        {"price": world.price(100)}, trial_period_days=10,
        trial_settings={"end_behavior": {"missing_payment_method": behavior}},
    )  # fmt: skip
    world.advance(OCT_1 + 10 * DAY + 2 * HOUR)

    assert world.sub(sub)["status"] == status
    assert len(world.invoices()) == n_invoices


def test_a_paused_subscription_goes_on_once_it_is_resumed(world):
    sub = world.subscribe(
        {"price": world.price(100)}, trial_period_days=10,
        trial_settings={"end_behavior": {"missing_payment_method": "pause"}},
    )  # fmt: skip
    world.advance(OCT_1 + 12 * DAY)
    world.card()
    resumed = world.api.post(f"/v1/subscriptions/{sub['id']}/resume")

    assert resumed["status"] == "active"
    assert world.invoices()[0]["total"] == 100
    start = resumed["items"]["data"][0]["current_period_start"]
    assert start == int((OCT_1 + 12 * DAY).timestamp())


def test_a_trial_can_be_ended_at_once(world):
    world.card()
    sub = world.subscribe({"price": world.price(700)}, trial_period_days=20)
    ended = world.change(sub, trial_end="now")

    assert ended["status"] == "active"
    assert (world.invoices()[0]["total"], world.invoices()[0]["status"]) == (700, "paid")


def test_a_trial_that_is_cancelled_costs_nothing(world):
    world.card()
    sub = world.subscribe({"price": world.price(700)}, trial_period_days=10)
    world.change(sub, cancel_at_period_end=True)
    world.advance(OCT_1 + 20 * DAY)

    assert world.sub(sub)["status"] == "canceled"
    assert [i["total"] for i in world.invoices()] == [0]


# -- items and prorations ------------------------------------------------------------------------
def test_each_item_renews_by_its_own_interval(world):
    world.card()
    sub = world.subscribe(
        {"price": world.price(100)}, {"price": world.price(9000, interval="year")},
        {"price": world.price(10, metered=True)},
    )  # fmt: skip
    world.use(4, OCT_1)
    world.advance(NOV_1 + 2 * HOUR)

    renewed, first = world.invoices()
    assert (sorted(amounts(first)), sorted(amounts(renewed))) == ([100, 9000], [40, 100])
    ends = {i["current_period_end"] for i in world.sub(sub)["items"]["data"]}
    assert ends == {int(DEC_1.timestamp()), int(datetime(2027, 10, 1, tzinfo=UTC).timestamp())}


def test_a_change_of_quantity_is_prorated_by_the_second(world):
    world.card()
    sub = world.subscribe({"price": world.price(1000), "quantity": 2})
    item = sub["items"]["data"][0]["id"]
    world.advance(OCT_16)
    world.change(sub, items=[{"id": item, "quantity": 5}])

    waiting = world.api.get("/v1/invoiceitems", customer=world.customer, pending=True)["data"]
    told = sorted((i["amount"], i["description"], i["proration"]) for i in waiting)
    # October has 31 days, half of them are left: 2 x 10.00 / 2 back, 5 x 10.00 / 2 more.
    assert told == [
        (-1000, "Unused time on 2 \u00d7 Desk after 16 Oct 2026", True),
        (2500, "Remaining time on 5 \u00d7 Desk after 16 Oct 2026", True),
    ]
    world.advance(NOV_1 + 2 * HOUR)
    assert world.invoices()[0]["total"] == 1500 + 5000


def test_rounding_is_per_line(world):
    world.card()
    sub = world.subscribe({"price": world.price(999), "quantity": 1})
    world.advance(OCT_1 + 10 * DAY)
    made = world.change(
        sub, items=[{"id": sub["items"]["data"][0]["id"], "quantity": 2}],
        proration_behavior="always_invoice",
    )  # fmt: skip

    # 21/31 of 9.99 is 6.767, of 19.98 it is 13.535.
    invoice = world.api.get(f"/v1/invoices/{made['latest_invoice']}")
    assert amounts(invoice) == [-677, 1353]
    assert (invoice["total"], invoice["status"]) == (676, "paid")


@pytest.mark.parametrize("behavior", ["create_prorations", "always_invoice", "none"])
def test_a_preview_is_the_invoice_to_the_cent(world, behavior):
    world.card()
    seat, usage = world.price(1999), world.price(33, metered=True)
    sub = world.subscribe({"price": seat, "quantity": 3}, {"price": usage})
    world.use(7, OCT_1)
    at = OCT_1 + timedelta(days=11, hours=5, seconds=17)
    world.advance(at)
    change = {
        "items": [
            {"id": sub["items"]["data"][0]["id"], "quantity": 4},
            {"price": world.price(501), "quantity": 2},
        ],
        "proration_behavior": behavior, "proration_date": at,
    }  # fmt: skip

    before = world.invoices()
    preview = world.preview(sub, **change)
    unchanged = world.invoices() == before and world.sub(sub)["items"] == sub["items"]
    world.change(sub, **change)
    if behavior != "always_invoice":
        world.advance(NOV_1 + 2 * HOUR)
    real = world.invoices()[0]

    assert unchanged
    assert (amounts(preview), preview["total"]) == (amounts(real), real["total"])
    assert preview["amount_due"] == real["amount_due"]


def test_a_yearly_upgrade_is_charged_at_once(world):
    world.card()
    sub = world.subscribe({"price": world.price(36500, interval="year"), "quantity": 1})
    world.advance(OCT_1 + 73 * DAY)
    item = sub["items"]["data"][0]["id"]
    world.change(sub, items=[{"id": item, "quantity": 2}], proration_behavior="always_invoice")

    # 292 of 365 days are left.
    assert amounts(world.invoices()[0]) == [-29200, 58400]
    assert world.invoices()[0]["amount_paid"] == 29200


def test_a_downgrade_becomes_a_balance_that_the_next_invoice_uses_up(world):
    world.card()
    sub = world.subscribe({"price": world.price(1000), "quantity": 10})
    world.advance(OCT_16)
    item = sub["items"]["data"][0]["id"]
    world.change(sub, items=[{"id": item, "quantity": 2}], proration_behavior="always_invoice")
    balance = world.api.get(f"/v1/customers/{world.customer}")["balance"]
    world.advance(NOV_1 + 2 * HOUR)

    assert balance == -4000
    renewed = world.invoices()[0]
    assert (renewed["total"], renewed["amount_due"], renewed["status"]) == (2000, 0, "paid")
    assert world.api.get(f"/v1/customers/{world.customer}")["balance"] == -2000
    moves = world.api.get(f"/v1/customers/{world.customer}/balance_transactions")["data"]
    assert [m["amount"] for m in moves] == [2000, -4000]


@pytest.mark.parametrize(
    ("mode", "behavior", "charged"),
    [
        ("flexible", "create_prorations", 300),
        ("flexible", "none", 0),
        ("classic", "create_prorations", 0),
    ],
)
def test_usage_of_a_removed_price_is_billed_in_flexible_mode_only(world, mode, behavior, charged):
    world.card()
    old, new = world.price(100, metered=True), world.price(1, metered=True)
    sub = world.subscribe({"price": old}, billing_mode={"type": mode})
    world.use(3, OCT_1)
    world.advance(OCT_16)
    world.change(
        sub, items=[{"id": sub["items"]["data"][0]["id"], "price": new}],
        proration_behavior=behavior,
    )  # fmt: skip
    world.use(40, OCT_16)
    world.advance(NOV_1 + 2 * HOUR)

    assert world.invoices()[0]["total"] == charged + 40


def test_what_was_free_is_not_credited_in_flexible_mode(world):
    world.card()
    world.advance(OCT_16)
    sub = world.subscribe(
        {"price": world.price(3100), "quantity": 1}, {"price": world.price(1, metered=True)},
        billing_cycle_anchor_config=MONTHLY, proration_behavior="none",
    )  # fmt: skip
    seat = sub["items"]["data"][0]["id"]
    world.change(sub, items=[{"id": seat, "deleted": True}])

    assert world.invoices() == []
    assert world.api.get("/v1/invoiceitems", customer=world.customer)["data"] == []


def test_the_part_of_a_month_before_the_anchor_is_prorated(world):
    world.card()
    world.advance(OCT_16)
    world.subscribe({"price": world.price(3100)}, billing_cycle_anchor_config=MONTHLY)

    assert [(i["total"], i["status"]) for i in world.invoices()] == [(1550, "paid")]


def test_another_interval_begins_a_new_period(world):
    world.card()
    sub = world.subscribe({"price": world.price(3100)})
    world.advance(OCT_16)
    changed = world.change(
        sub,
        items=[{"id": sub["items"]["data"][0]["id"], "price": world.price(30000, interval="year")}],
    )

    assert world.invoices()[0]["total"] == 30000 - 1550
    end = changed["items"]["data"][0]["current_period_end"]
    assert end == int(OCT_16.replace(year=2027).timestamp())


def test_a_change_outside_of_the_period_is_refused(world):
    world.card()
    sub = world.subscribe({"price": world.price(3100)})

    with pytest.raises(Refused, match="current period"):
        world.preview(
            sub, items=[{"id": sub["items"]["data"][0]["id"], "quantity": 2}], proration_date=DEC_1
        )


def test_the_items_have_calls_of_their_own(world):
    world.card()
    sub = world.subscribe({"price": world.price(100)})
    added = world.api.post(
        "/v1/subscription_items", subscription=sub["id"], price=world.price(50), quantity=2
    )
    changed = world.api.post(f"/v1/subscription_items/{added['id']}", quantity=3)
    gone = world.api.delete(f"/v1/subscription_items/{added['id']}")

    assert (added["quantity"], changed["quantity"], gone["deleted"]) == (2, 3, True)
    assert len(world.sub(sub)["items"]["data"]) == 1


def test_a_new_subscription_can_be_previewed(world):
    seat = world.price(2500)
    preview = world.api.post(
        "/v1/invoices/create_preview", customer=world.customer,
        subscription_details={"items": [{"price": seat, "quantity": 3}]},
    )  # fmt: skip
    world.card()
    world.subscribe({"price": seat, "quantity": 3})

    assert (preview["total"], amounts(preview)) == (7500, amounts(world.invoices()[0]))
    assert len(world.invoices()) == 1


def test_without_a_card_nothing_is_subscribed(world):
    with pytest.raises(Refused, match="no attached payment source"):
        world.subscribe({"price": world.price(2500)})
    assert world.api.get("/v1/subscriptions", customer=world.customer)["data"] == []


def test_a_first_payment_that_fails_leaves_the_subscription_incomplete(world):
    world.card("pm_card_chargeCustomerFail")
    sub = world.subscribe({"price": world.price(2500)})
    with pytest.raises(Refused) as refusal:
        world.subscribe({"price": world.price(2500)}, payment_behavior="error_if_incomplete")
    world.advance(OCT_1 + DAY)

    assert (sub["status"], world.sub(sub)["status"]) == ("incomplete", "incomplete_expired")
    assert (refusal.value.status, refusal.value.code) == (402, "card_declined")
    assert [i["status"] for i in world.invoices()] == ["void"]


def test_a_cancelled_subscription_bills_its_usage_only_when_asked(world):
    world.card()
    bills, drops = (
        world.subscribe({"price": world.price(price, metered=True)}) for price in (100, 7)
    )
    world.use(3, OCT_1)
    world.advance(OCT_1 + DAY)
    world.api.delete(f"/v1/subscriptions/{bills['id']}", invoice_now=True)
    world.api.delete(f"/v1/subscriptions/{drops['id']}")

    assert [(i["total"], i["status"]) for i in world.invoices()] == [(300, "paid")]


def test_the_next_invoice_is_announced_a_week_before(world):
    world.card()
    world.subscribe({"price": world.price(100)})
    world.advance(NOV_1 - 7 * DAY)

    (told,) = world.events("invoice.upcoming")
    assert told["data"]["object"]["total"] == 100
    assert "id" not in told["data"]["object"]


def test_an_update_says_what_was_before(world):
    world.card()
    sub = world.subscribe({"price": world.price(100)}, metadata={"a": "1", "b": "2"})
    world.change(sub, metadata={"a": "3"}, cancel_at_period_end=True)

    told = world.events("customer.subscription.updated")[0]["data"]["previous_attributes"]
    assert told["metadata"] == {"a": "1"}
    assert (told["cancel_at_period_end"], "status" in told) == (False, False)


# -- discounts -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("terms", "totals"),
    [
        ({"percent_off": 25, "duration": "forever"}, [750, 750, 750]),
        ({"percent_off": 50, "duration": "once"}, [500, 1000, 1000]),
        ({"amount_off": 300, "currency": "eur", "duration": "once"}, [700, 1000, 1000]),
        (
            {"percent_off": 10, "duration": "repeating", "duration_in_months": 2},
            [900, 900, 1000],
        ),
    ],
    ids=["forever", "once", "amount", "two-months"],
)
def test_a_coupon_lowers_the_invoices_of_its_duration(world, terms, totals):
    world.card()
    coupon = world.api.post("/v1/coupons", name="Spring", **terms)
    world.subscribe({"price": world.price(1000)}, discounts=[{"coupon": coupon["id"]}])
    world.advance(NOV_1 + 2 * HOUR)
    world.advance(DEC_1 + 2 * HOUR)

    assert [i["total"] for i in reversed(world.invoices())] == totals
    first = world.invoices()[-1]
    (off,) = first["total_discount_amounts"]
    assert off["amount"] == 1000 - totals[0]
    assert first["lines"]["data"][0]["discount_amounts"] == [off]


def test_an_amount_off_is_spread_over_the_lines_to_the_cent(world):
    world.card()
    coupon = world.api.post("/v1/coupons", amount_off=100, currency="eur", duration="once")
    world.subscribe(
        *({"price": world.price(333)} for _ in "123"), discounts=[{"coupon": coupon["id"]}]
    )

    (invoice,) = world.invoices()
    parts = [line["discount_amounts"][0]["amount"] for line in invoice["lines"]["data"]]
    assert (sorted(parts), invoice["total"]) == ([33, 33, 34], 899)


def test_a_proration_gives_back_what_was_paid_after_the_discount(world):
    world.card()
    coupon = world.api.post("/v1/coupons", percent_off=50, duration="forever")
    sub = world.subscribe(
        {"price": world.price(1000), "quantity": 2}, discounts=[{"coupon": coupon["id"]}]
    )
    world.advance(OCT_16)
    world.change(
        sub, items=[{"id": sub["items"]["data"][0]["id"], "quantity": 4}],
        proration_behavior="always_invoice",
    )  # fmt: skip

    made = world.invoices()[0]
    assert (amounts(made), made["total"]) == ([-500, 1000], 500)
    assert [line["discountable"] for line in made["lines"]["data"]] == [False, False]


def test_a_promotion_code_is_used_replaced_and_taken_away(world):
    world.card()
    half, tenth = (
        world.api.post("/v1/coupons", percent_off=n, duration="forever")["id"] for n in (50, 10)
    )
    code = world.api.post(
        "/v1/promotion_codes", promotion={"type": "coupon", "coupon": half}, max_redemptions=1
    )
    sub = world.subscribe({"price": world.price(1000)}, discounts=[{"promotion_code": code["id"]}])
    with pytest.raises(Refused, match="used up"):
        world.subscribe({"price": world.price(1000)}, discounts=[{"promotion_code": code["id"]}])
    replaced = world.change(sub, discounts=[{"coupon": tenth}])
    cleared = world.change(sub, discounts="")

    assert world.invoices()[0]["total"] == 500
    assert len(replaced["discounts"]) == 1
    assert replaced["discounts"] != sub["discounts"]
    assert cleared["discounts"] == []
    assert len(world.events("customer.discount.deleted")) == 2
    (known,) = world.api.get("/v1/promotion_codes", code=code["code"].lower())["data"]
    assert (known["active"], known["times_redeemed"]) == (False, 1)


def test_a_coupon_that_is_used_up_is_refused(world):
    coupon = world.api.post("/v1/coupons", percent_off=100, max_redemptions=1)["id"]
    world.subscribe({"price": world.price(1)}, discounts=[{"coupon": coupon}])

    assert world.api.get(f"/v1/coupons/{coupon}")["valid"] is False
    with pytest.raises(Refused) as refusal:
        world.subscribe({"price": world.price(1)}, discounts=[{"coupon": coupon}])
    assert refusal.value.code == "coupon_expired"
    with pytest.raises(Refused, match="in the future"):
        world.api.post("/v1/coupons", percent_off=5, redeem_by=1_700_000_000)


def test_a_clock_goes_two_intervals_at_most(world):
    world.card()
    world.subscribe({"price": world.price(100)})

    with pytest.raises(Refused, match="two intervals"):
        world.advance(DEC_1 + timedelta(seconds=1))
    world.advance(DEC_1)
    assert len(world.invoices()) == 3
