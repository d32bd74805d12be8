"""A customer on a test clock at the stand-in, with what tests do to it."""

from datetime import UTC, datetime, timedelta

OCT_1 = datetime(2026, 10, 1, tzinfo=UTC)
NOV_1 = datetime(2026, 11, 1, tzinfo=UTC)
DEC_1 = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def amounts(invoice):
    return [line["amount"] for line in invoice["lines"]["data"]]


class World:
    """A customer on a test clock that stands at 1 October, and prices to subscribe to."""

    def __init__(self, api, at=OCT_1):
        self.api = api
        self.clock = api.post("/v1/test_helpers/test_clocks", frozen_time=at)["id"]
        self.customer = api.post("/v1/customers", name="Acme", test_clock=self.clock)["id"]
        self.meter = self._meter()

    def _meter(self):
        for meter in self.api.get("/v1/billing/meters", status="active", limit=100)["data"]:
            if meter["event_name"] == "subscription_tests":
                return meter["id"]
        return self.api.post(
            "/v1/billing/meters", event_name="subscription_tests", display_name="Usage",
            default_aggregation={"formula": "sum"},
        )["id"]  # fmt: skip

    def card(self, name="pm_card_visa"):
        card = self.api.post(f"/v1/payment_methods/{name}/attach", customer=self.customer)["id"]
        self.api.post(
            f"/v1/customers/{self.customer}", invoice_settings={"default_payment_method": card}
        )
        return card

    def price(self, amount, *, interval="month", metered=False):
        recurring = {"interval": interval}
        if metered:
            recurring |= {"usage_type": "metered", "meter": self.meter}
        return self.api.post(
            "/v1/prices", currency="eur", unit_amount=amount, recurring=recurring,
            product_data={"name": "Desk"},
        )["id"]  # fmt: skip

    def subscribe(self, *items, **values):
        return self.api.post(
            "/v1/subscriptions", customer=self.customer, items=list(items), **values
        )

    def change(self, sub, **values):
        return self.api.post(f"/v1/subscriptions/{sub['id']}", **values)

    def preview(self, sub, **details):
        return self.api.post(
            "/v1/invoices/create_preview", subscription=sub["id"], subscription_details=details
        )

    def advance(self, to):
        self.api.post(f"/v1/test_helpers/test_clocks/{self.clock}/advance", frozen_time=to)

    def use(self, quantity, at):
        self.api.post(
            "/v1/billing/meter_events", event_name="subscription_tests", timestamp=at,
            payload={"stripe_customer_id": self.customer, "value": quantity},
        )  # fmt: skip

    def sub(self, sub):
        return self.api.get(f"/v1/subscriptions/{sub['id']}")

    def invoices(self):
        return self.api.get("/v1/invoices", customer=self.customer, limit=100)["data"]

    def events(self, kind):
        found = self.api.get("/v1/events", type=kind, limit=100)["data"]
        return [e for e in found if self.customer in str(e["data"]["object"])]
