"""Bring objects that an earlier release of the stand-in kept up to date."""

from collections.abc import Iterator

from billing.sandbox.cards import TEST_CARDS
from billing.sandbox.store import Object, Store

_MISSING: dict[str, Object] = {
    "customer": {"discount": None},
    "subscription": {"_trial_told": False, "_upcoming": None, "_made": None},
    "invoice": {
        "_intent": None, "_failed_at": None, "_days_until_due": None, "_overdue": False,
        "_discounts": [], "_payments": [],
    },
    "checkout.session": {"_items": [], "_subscription": {}, "_updates": [], "_code": None,
                         "_intent_metadata": {}, "total_details": None},
}  # fmt: skip


def upgrade(store: Store) -> None:
    """Give the objects of an outdated state what they lack."""
    for kind in (*_MISSING, "payment_method", "invoiceitem"):
        for body in store.all(kind):
            if kind == "invoiceitem" and "_line" in body:
                # It had no form that the API could show; its line is on an invoice already, or
                # was never billed.
                store.delete(body["id"])
                continue
            store.save(_modern({**_MISSING.get(kind, {}), **body}))


def _modern(body: Object) -> Object:
    if body["object"] == "payment_method" and "_test_card" not in body:
        last4 = body["card"]["last4"]
        body["_test_card"] = next(n for n, c in TEST_CARDS.items() if c.last4 == last4)
    if body["object"] == "subscription":
        for item in body["items"]["data"]:
            item.update(_debits=item.get("_debits", []), _tax_rates=item.get("_tax_rates"))
    if body["object"] == "invoice":
        body["lines"]["data"] = list(_lines(body))
    return body


def _lines(invoice: Object) -> Iterator[Object]:
    for line in invoice["lines"]["data"]:
        counted = line.get("_usage")
        if isinstance(counted, list):
            start, end = counted
            counted = {
                "start": start, "end": end, "meter": line["_meter"], "price": line["_price"],
            }  # fmt: skip
        product = line["pricing"]["price_details"]["product"] if line["pricing"] else None
        yield {
            "_product": product, "_tax_rates": None,
            **line, "_usage": counted,
        }  # fmt: skip
