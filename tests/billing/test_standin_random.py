"""Whatever is done to a subscription in whatever order, the stand-in's amounts add up."""

import random
from datetime import timedelta

import pytest

from tests.billing.contract import Refused
from tests.billing.world import DAY, OCT_1, World, amounts

N_STEPS = 25
pytestmark = pytest.mark.slow


class Walk:
    """A subscription to which a random change happens at each step."""

    def __init__(self, api, seed):
        self.random, self.api, self.now = random.Random(seed), api, OCT_1
        self.world = World(api)
        self.world.card()
        self.prices = [self.world.price(self.random.randint(1, 5000)) for _ in "12"]
        self.prices.append(self.world.price(self.random.randint(1, 50000), interval="year"))
        self.coupon = api.post("/v1/coupons", percent_off=15, duration="forever")["id"]
        rate = api.post("/v1/tax_rates", display_name="VAT", percentage=19, inclusive=False)["id"]
        self.sub = self.world.subscribe(
            {"price": self.prices[0], "quantity": self.random.randint(1, 5)},
            {"price": self.world.price(self.random.randint(1, 50), metered=True)},
            default_tax_rates=self.random.choice([[], [rate]]),
            trial_end=self.random.choice([None, OCT_1 + self.random.randint(1, 40) * DAY]),
        )

    def step(self):
        """Do one thing. A refusal in Stripe's words is fine, a failure of the server is not."""
        act = self.random.choice(
            [self.pass_time, self.pass_time, self.change, self.change, self.add, self.use,
             self.discount, self.credit, self.card, self.end]
        )  # fmt: skip
        try:
            act()
        except Refused as refusal:
            if refusal.status >= 500:
                raise

    def pass_time(self):
        self.now += timedelta(seconds=self.random.randint(1, 25 * 86400))
        self.world.advance(self.now)

    def change(self):
        """Change an item; what a preview said of an invoice made at once is what it says."""
        item = self.random.choice(self.world.sub(self.sub)["items"]["data"])
        wish = {"id": item["id"], "deleted": True}
        if "quantity" in item and self.random.random() < 0.8:
            wish = {"id": item["id"], "price": self.random.choice(self.prices), "quantity": 7}
        behaviors = ["create_prorations", "always_invoice", "none"]
        values = {"items": [wish], "proration_behavior": self.random.choice(behaviors)}
        told, n_before = self.world.preview(self.sub, **values), len(self.world.invoices())
        self.world.change(self.sub, **values)
        made = self.world.invoices()
        if len(made) > n_before:
            assert (amounts(told), told["amount_due"]) == (amounts(made[0]), made[0]["amount_due"])

    def add(self):
        self.world.change(self.sub, items=[{"price": self.random.choice(self.prices)}])

    def use(self):
        self.world.use(self.random.randint(1, 99), self.now)

    def discount(self):
        self.world.change(self.sub, discounts=self.random.choice(["", [{"coupon": self.coupon}]]))

    def credit(self):
        invoice, amount = self.random.choice(self.world.invoices()), self.random.randint(1, 500)
        way = self.random.choice(["refund_amount", "credit_amount"])
        back = {way: amount} if invoice["status"] == "paid" else {}
        self.api.post("/v1/credit_notes", invoice=invoice["id"], amount=amount, **back)

    def card(self):
        self.world.card(self.random.choice(["pm_card_visa", "pm_card_chargeCustomerFail"]))

    def end(self):
        wanted = self.random.random() < 0.3
        self.world.change(self.sub, cancel_at_period_end=wanted)

    def check(self):
        """Hold every invoice against its own lines, and all of them against the balance."""
        owed = settled = 0
        for invoice in self.world.invoices():
            off = sum(part["amount"] for part in invoice["total_discount_amounts"])
            tax = sum(part["amount"] for part in invoice["total_taxes"])
            assert invoice["subtotal"] == sum(amounts(invoice))
            assert invoice["total"] == invoice["subtotal"] - off + tax
            assert (
                invoice["amount_remaining"] == invoice["amount_due"] - invoice["amount_paid"] >= 0
            )
            if invoice["status"] in ("open", "paid"):
                owed += invoice["total"]
                settled += invoice["amount_paid"] + invoice["amount_remaining"]
                settled += invoice["pre_payment_credit_notes_amount"]
                settled += invoice["ending_balance"] - invoice["starting_balance"]
        customer = f"/v1/customers/{self.world.customer}"
        moves = self.api.get(f"{customer}/balance_transactions", limit=100)["data"]
        assert owed == settled
        assert self.api.get(customer)["balance"] == sum(move["amount"] for move in moves)


@pytest.mark.parametrize("seed", range(8))
def test_the_amounts_add_up_whatever_is_done(api, seed):
    walk = Walk(api, seed)
    for _ in range(N_STEPS):
        walk.step()
        walk.check()
