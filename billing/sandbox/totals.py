"""What an invoice comes to: discounts, then tax, then the customer's balance.

Each line is rounded to whole minor units by itself (docs.stripe.com/tax/calculating, "rounding at
the item level").
"""

from decimal import Decimal
from fractions import Fraction

from billing.sandbox import discounts
from billing.sandbox.call import Call
from billing.sandbox.pricing import half_up
from billing.sandbox.store import Object

_NO_TAX = {"exempt": "customer_exempt", "reverse": "reverse_charge"}


def total(call: Call, invoice: Object) -> None:
    """Compute an invoice's amounts from its lines. A draft follows the customer's balance."""
    lines = invoice["lines"]["data"]
    off = _discount(call, invoice, lines)
    added, included = _tax(invoice, lines)
    subtotal = sum(line["amount"] for line in lines)
    whole = subtotal - off + added
    if invoice["status"] == "draft":
        invoice["starting_balance"] = call.get("customer", invoice["customer"])["balance"]
    due = max(0, whole + invoice["starting_balance"])
    invoice.update(
        subtotal=subtotal, subtotal_excluding_tax=subtotal - included, total=whole,
        total_excluding_tax=whole - added - included, amount_due=due,
        amount_remaining=due - invoice["amount_paid"],
    )  # fmt: skip


def _discount(call: Call, invoice: Object, lines: list[Object]) -> int:
    open_lines = [line for line in lines if line["discountable"]]
    for line in lines:
        line["discount_amounts"] = []
    totals = []
    for discount_id in invoice["_discounts"]:
        left = [(net(line), line["_product"]) for line in open_lines]
        parts = discounts.off(
            call, call.get("discount", discount_id), left, currency=invoice["currency"]
        )
        for line, part in zip(open_lines, parts, strict=True):
            if part:
                line["discount_amounts"].append({"amount": part, "discount": discount_id})
        totals.append({"amount": sum(parts), "discount": discount_id})
    invoice["total_discount_amounts"] = totals
    return sum(part["amount"] for part in totals)


def net(line: Object) -> int:
    """Return what a line costs after its discounts."""
    return int(line["amount"] - sum(part["amount"] for part in line["discount_amounts"]))


def _tax(invoice: Object, lines: list[Object]) -> tuple[int, int]:
    """Write the taxes of lines and invoice; return what is added and what is included."""
    by_rate: dict[str, Object] = {}
    for line in lines:
        # Not `or`: an empty list of an item means no tax, None means the invoice's rates.
        own = line["_tax_rates"]
        rates = invoice["default_tax_rates"] if own is None else own
        line["taxes"] = [_tax_of(net(line), rate, invoice["customer_tax_exempt"]) for rate in rates]
        for tax in line["taxes"]:
            known = by_rate.setdefault(
                tax["tax_rate_details"]["tax_rate"], {**tax, "amount": 0, "taxable_amount": 0}
            )
            known["amount"] += tax["amount"]
            known["taxable_amount"] += tax["taxable_amount"]
    taxes = list(by_rate.values())
    invoice["total_taxes"] = taxes
    added = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    return added, sum(tax["amount"] for tax in taxes) - added


def _tax_of(amount: int, rate: Object, exempt: str | None) -> Object:
    share = Fraction(Decimal(str(rate["percentage"]))) / 100
    if exempt in _NO_TAX:
        share = Fraction(0)
    exact = amount - amount / (1 + share) if rate["inclusive"] else amount * share
    tax = half_up(Fraction(exact))
    return {
        "amount": tax, "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": _NO_TAX.get(exempt or "", "standard_rated"),
        "taxable_amount": amount - tax if rate["inclusive"] else amount,
        "type": "tax_rate_details",
    }  # fmt: skip
