"""What a change in the middle of a period costs: credits for the unused, debits for the rest.

Source: docs.stripe.com/billing/subscriptions/prorations and
docs.stripe.com/billing/subscriptions/billing-mode/compare. Prorated by the second, each line
rounded. In flexible mode a credit is a share of what was really charged for the period, so that
discounts and free first periods come out right; in classic mode it is a share of the price. What a
discount takes off is in the amount of a proration, which is not discounted again. Of discounts only
percentages are taken into account here.
"""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from billing.sandbox import calendar, discounts, lines, pricing
from billing.sandbox.call import Call
from billing.sandbox.pricing import half_up
from billing.sandbox.store import Object


def is_flexible(sub: Object) -> bool:
    return bool(sub["billing_mode"]["type"] == "flexible")


def boundary_before(sub: Object, item: Object) -> int:
    """Return where the full interval that ends with an item's period begins."""
    recurring = item["price"]["recurring"]
    return calendar.previous_boundary(
        sub["billing_cycle_anchor"], item["current_period_end"],
        interval=recurring["interval"], count=recurring["interval_count"],
    )  # fmt: skip


def share(sub: Object, item: Object, *, since: int) -> Fraction:
    """Return which part of a full interval lies between a moment and the end of the period."""
    end = item["current_period_end"]
    return Fraction(end - since, end - boundary_before(sub, item))


def price_of_rest(call: Call, sub: Object, item: Object, *, since: int) -> int:
    """Return what an item costs from a moment to the end of its period, before discounts."""
    whole = pricing.amount(item["price"], item["quantity"])
    return half_up(whole * share(sub, item, since=since))


def _after_discounts(call: Call, sub: Object, amount: int, *, at: int) -> int:
    left = Fraction(amount)
    for discount in discounts.active(call, sub, at=at):
        coupon = call.get("coupon", discount["source"]["coupon"])
        left *= 1 - Fraction(Decimal(str(coupon["percent_off"] or 0))) / 100
    return half_up(left)


def _day(at: int) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.day} {moment:%b %Y}"


def credit(call: Call, sub: Object, item: Object, *, at: int) -> None:
    """Give back what was charged for the time after a moment, one pending item per charge."""
    customer, end = call.get("customer", sub["customer"]), item["current_period_end"]
    for amount in _credits(call, sub, item, at=at):
        if amount:
            lines.new_item(
                call, customer, amount=-amount, currency=sub["currency"],
                text=f"Unused time on {lines.name_of(call, item)} after {_day(at)}",
                period=(at, end), at=at, subscription=sub["id"], item=item,
                quantity=item["quantity"], is_proration=True,
            )  # fmt: skip
    item["_debits"] = []


def _credits(call: Call, sub: Object, item: Object, *, at: int) -> list[int]:
    if not is_flexible(sub):
        rest = price_of_rest(call, sub, item, since=at)
        return [_after_discounts(call, sub, rest, at=at)] if item["_debits"] else []
    return [
        half_up(Fraction(debit["amount"] * (debit["end"] - at), debit["end"] - debit["start"]))
        for debit in item["_debits"]
        if debit["start"] <= at < debit["end"]
    ]


def debit(call: Call, sub: Object, item: Object, *, at: int) -> None:
    """Charge an item from a moment to the end of its period, as a pending item."""
    end = item["current_period_end"]
    amount = price_of_rest(call, sub, item, since=at)
    amount = _after_discounts(call, sub, amount, at=at)
    lines.new_item(
        call, call.get("customer", sub["customer"]), amount=amount, currency=sub["currency"],
        text=f"Remaining time on {lines.name_of(call, item)} after {_day(at)}", period=(at, end),
        at=at, subscription=sub["id"], item=item, quantity=item["quantity"], is_proration=True,
    )  # fmt: skip
    item["_debits"] = [{"amount": amount, "start": at, "end": end}]


def first_stub(call: Call, sub: Object, item: Object, invoice: Object, *, start: int) -> Object:
    """Return the line for the part of an interval before the first anchor."""
    end = item["current_period_end"]
    text = f"Time on {lines.name_of(call, item)} from {_day(start)} until {_day(end)}"
    return lines.item_line(
        call, invoice, item, amount=price_of_rest(call, sub, item, since=start),
        quantity=item["quantity"], period=(start, end), text=text,
    )  # fmt: skip


def bill_usage(call: Call, sub: Object, item: Object, *, at: int) -> None:
    """Keep what was used of a metered price up to a moment as a pending item.

    Flexible mode bills it when the price is removed or exchanged, unless `proration_behavior` is
    none; classic mode never does (docs.stripe.com/billing/subscriptions/usage-based/
    manage-billing-setup, "Update prices mid-cycle").
    """
    if not is_flexible(sub):
        return
    start = max(item["current_period_start"], item["_usage_from"])
    stub = {"id": None, "customer": sub["customer"]}
    line = lines.usage_line(call, stub, item, start=start, end=at, fixed=True)
    if line["amount"]:
        lines.new_item(
            call, call.get("customer", sub["customer"]), amount=line["amount"],
            currency=sub["currency"], text=line["description"], period=(start, at), at=at,
            subscription=sub["id"], item=item, quantity=line["quantity"],
        )  # fmt: skip
