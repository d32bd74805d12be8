"""Changes of a subscription: items, trial, discounts, when it ends. Previews run this code too."""

from dataclasses import dataclass

from billing.sandbox import discounts, invoices, lifecycle, lines, pricing, prorations, taxes
from billing.sandbox.call import Call, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import tell_change
from billing.sandbox.forms import Params
from billing.sandbox.payments import NO_CARD
from billing.sandbox.store import Object, new_id

PRORATIONS = ("create_prorations", "none", "always_invoice")


@dataclass(frozen=True, slots=True)
class Entry:
    """What an item is to be: a price and, unless it is metered, how many."""

    price: Object
    quantity: int | None
    metadata: dict[str, str]
    tax_rates: list[Object] | None


@dataclass(frozen=True, slots=True)
class Terms:
    """How a change is charged for, and for which moment."""

    proration: str
    at: int


def read_item(call: Call, p: Params, *, current: Object | None = None) -> Entry:
    """Read an item of a call; what is not said stays as the current item has it."""
    price = _price(call, p, current)
    metered = price["recurring"]["usage_type"] == "metered"
    if metered and "quantity" in p:
        raise ApiError("You cannot set the quantity of a metered price.", param="items[quantity]")
    before = 1 if current is None else current.get("quantity", 1)
    quantity = None if metered else p.integer("quantity", before)
    if quantity is not None and quantity < 0:
        raise ApiError("Invalid non-negative integer", param="items[quantity]")
    rates = taxes.rates(call, p.texts("tax_rates"), param="tax_rates") if "tax_rates" in p else None
    known = current["metadata"] if current else {}
    return Entry(price, quantity, merge_metadata(known, p.mapping("metadata")), rates)


def _price(call: Call, p: Params, current: Object | None) -> Object:
    if current is not None and "price" not in p:
        found: Object = current["price"]
        return found
    price = call.get("price", p.required("price"), param="items[price]", status=400)
    if price["recurring"] is None:
        raise ApiError(
            f"The price specified is set to `type=one_time` but this field only accepts prices "
            f"with `type=recurring`: {price['id']}.", param="items[price]",
        )  # fmt: skip
    if not price["active"]:
        raise ApiError(
            "The price specified is inactive. This field only accepts active prices.",
            param="items[price]",
        )
    return price


def new_item(sub: Object, entry: Entry, *, now: int) -> Object:
    """Return a new item of a subscription, its period still to be set."""
    item: Object = {
        "id": new_id("si", length=14), "object": "subscription_item", "billing_thresholds": None,
        "created": now, "current_period_start": now, "current_period_end": now, "discounts": [],
        "metadata": entry.metadata, "price": entry.price, "subscription": sub["id"],
        "tax_rates": entry.tax_rates or [], "_usage_from": now, "_debits": [],
        "_tax_rates": entry.tax_rates or None,
    }  # fmt: skip
    if entry.quantity is not None:
        item["quantity"] = entry.quantity
    return item


def trial_end(p: Params, *, now: int) -> int | None:
    """Read `trial_end`: a moment, or `now`."""
    if p.is_plain("trial_end") and p.peek("trial_end") == "now":
        p.skip("trial_end")
        return now
    return p.integer("trial_end")


def automatic_tax(p: Params, customer: Object) -> Object:
    enabled = p.child("automatic_tax").boolean("enabled")
    if enabled:
        taxes.require_location(customer)
    return {
        "enabled": enabled, "liability": {"type": "self"} if enabled else None,
        "disabled_reason": None,
    }  # fmt: skip


def add_one_time_items(call: Call, sub: Object, entries: list[Params], *, at: int) -> None:
    """Put one-time prices on the subscription's next invoice (`add_invoice_items`)."""
    customer = call.get("customer", sub["customer"])
    for p in entries:
        price = call.get("price", p.required("price"), param="add_invoice_items", status=400)
        quantity = p.integer("quantity", 1) or 1
        product = call.get("product", price["product"])
        item = lines.new_item(
            call, customer, amount=pricing.amount(price, quantity),
            currency=price["currency"], text=product["name"], period=(at, at), at=at,
            subscription=sub["id"], quantity=quantity,
        )  # fmt: skip
        call.store.save({**item, "_product": product["id"]})


def terms(call: Call, sub: Object, p: Params) -> Terms:
    """Read how a change is charged.

    Raises:
        ApiError: `proration_date` lies outside of the current period.
    """
    proration = p.choice("proration_behavior", PRORATIONS, "create_prorations")
    now = call.now(sub)
    at = p.integer("proration_date", now) or now
    start, end = lifecycle.period_start(sub), lifecycle.period_end(sub)
    if at != now and not start <= at < end:
        raise ApiError(
            f"Invalid proration_date: it must be within the current period, {start} to {end}.",
            param="proration_date",
        )
    return Terms(proration, at)


def apply(call: Call, sub: Object, p: Params) -> Object | None:
    """Change a subscription and return the invoice that the change made at once, a draft."""
    customer, now = call.get("customer", sub["customer"]), call.now(sub)
    how = terms(call, sub, p)
    _simple(call, sub, p, customer)
    _end(call, sub, p, now=now)
    if "discounts" in p:
        sub["discounts"] = discounts.replace(
            call, p.children("discounts"), customer=customer, sub=sub, at=now
        )
    add_one_time_items(call, sub, p.children("add_invoice_items"), at=now)
    ended = trial_end(p, now=now)
    if ended is not None and ended > now:
        _start_trial(call, sub, how, until=ended)
    restart = p.choice("billing_cycle_anchor", ("unchanged", "now"), "unchanged") == "now"
    invoice = change_items(call, sub, p.children("items"), how, restart=restart)
    if ended is not None and ended <= now and sub["status"] == "trialing":
        lifecycle.warn_of_trial_end(call, sub)
        sub["billing_cycle_anchor"] = now
        lifecycle.end_trial(call, sub, at=now)
        invoice = call.store.find("invoice", sub["_made"] or "")
    return invoice


def _simple(call: Call, sub: Object, p: Params, customer: Object) -> None:
    for key in ("default_payment_method", "description"):
        if key in p:
            sub[key] = p.text(key) or None
    if "default_tax_rates" in p:
        sub["default_tax_rates"] = taxes.rates(call, p.texts("default_tax_rates"))
    if "automatic_tax" in p:
        sub["automatic_tax"] = automatic_tax(p, customer)
    if "trial_settings" in p:
        behavior = p.child("trial_settings").child("end_behavior")
        wanted = behavior.choice(
            "missing_payment_method", ("create_invoice", "cancel", "pause"), ""
        )
        sub["trial_settings"] = {"end_behavior": {"missing_payment_method": wanted}}
    if "cancellation_details" in p:
        details = p.child("cancellation_details")
        for key in ("comment", "feedback"):
            if key in details:
                sub["cancellation_details"][key] = details.text(key) or None
    methods = ("charge_automatically", "send_invoice")
    sub["collection_method"] = p.choice("collection_method", methods, sub["collection_method"])
    sub["days_until_due"] = p.integer("days_until_due", sub["days_until_due"])
    sub["metadata"] = merge_metadata(sub["metadata"], p.mapping("metadata"))


def _end(call: Call, sub: Object, p: Params, *, now: int) -> None:
    """Set or take back when the subscription ends."""
    if "cancel_at" in p:
        value = p.text("cancel_at")
        ends = [item["current_period_end"] for item in sub["items"]["data"]]
        named = {"": None, "min_period_end": min(ends), "max_period_end": max(ends)}
        try:
            moment = named[value] if value in named else int(value or "")
        except ValueError:
            raise ApiError(f"Invalid integer: {value}", param="cancel_at") from None
        if moment is not None and moment <= now:
            raise ApiError("Invalid cancel_at: must be in the future.", param="cancel_at")
        sub.update(cancel_at=moment, canceled_at=now if moment else None)
    if "cancel_at_period_end" in p:
        wanted = p.boolean("cancel_at_period_end")
        sub["cancel_at_period_end"] = wanted
        sub["canceled_at"] = now if wanted else None
        sub["cancel_at"] = lifecycle.period_end(sub) if wanted else None
        reason = "cancellation_requested" if wanted else None
        sub["cancellation_details"]["reason"] = reason


def _start_trial(call: Call, sub: Object, how: Terms, *, until: int) -> None:
    """Begin or move a trial: nothing is charged until it ends, and the cycle begins then."""
    now = call.now(sub)
    for item in sub["items"]["data"]:
        if sub["status"] != "trialing":
            _settle(call, sub, item, how)
        item.update(current_period_start=now, current_period_end=until, _debits=[])
    sub.update(
        status="trialing", trial_start=sub["trial_start"] or now, trial_end=until,
        billing_cycle_anchor=until, _trial_told=False,
    )  # fmt: skip


def change_items(
    call: Call, sub: Object, entries: list[Params], how: Terms, *, restart: bool = False
) -> Object | None:
    """Change items, save, and return the invoice made at once, a draft; None without one."""
    renewed = [item for p in entries if (item := _change_item(call, sub, p, how)) is not None]
    if not sub["items"]["data"]:
        raise ApiError(
            "A subscription must have at least one active plan. To cancel this subscription "
            "immediately, delete the subscription.", param="items",
        )  # fmt: skip
    invoice = None
    if restart or renewed:
        invoice = _restart(call, sub, how, renewed)
    elif how.proration == "always_invoice" and _is_charged(sub):
        invoice = lifecycle.bill_pending(call, sub, at=call.now(sub))
    tell_change(call, "customer.subscription.updated", sub)
    return invoice


def _is_charged(sub: Object) -> bool:
    return sub["status"] in lifecycle.RENEWS


def _change_item(call: Call, sub: Object, p: Params, how: Terms) -> Object | None:
    """Change, add or remove one item; return it where its interval is another from now on."""
    items: list[Object] = sub["items"]["data"]
    item_id, deleted = p.text("id"), p.boolean("deleted")
    clear_usage = p.boolean("clear_usage")
    old = next((i for i in items if i["id"] == item_id), None)
    if item_id and old is None:
        raise ApiError(
            f"No such subscription item: '{item_id}'", code="resource_missing", param="items"
        )
    if old is None:
        _add(call, sub, read_item(call, p), how)
        return None
    if deleted:
        p.skip("price", "quantity")
        _settle(call, sub, old, how, clear_usage=clear_usage)
        items.remove(old)
        return None
    entry = read_item(call, p, current=old)
    other_interval = _interval(entry.price) != _interval(old["price"])
    same_price = entry.price["id"] == old["price"]["id"]
    if not same_price or entry.quantity != old.get("quantity"):
        _settle(call, sub, old, how)
        old["price"] = entry.price
        old.pop("quantity", None)
        if entry.quantity is not None:
            old["quantity"] = entry.quantity
        _check_currency(sub, entry)
        if lines.is_metered(old):
            # A metered price counts only what is used after it was put in.
            old["_usage_from"] = how.at
        elif not other_interval:
            _charge(call, sub, old, how)
    old["metadata"] = entry.metadata
    if entry.tax_rates is not None:
        old.update(tax_rates=entry.tax_rates, _tax_rates=entry.tax_rates or None)
    return old if other_interval and _is_charged(sub) else None


def _interval(price: Object) -> tuple[str, int]:
    return price["recurring"]["interval"], price["recurring"]["interval_count"]


def _check_currency(sub: Object, entry: Entry) -> None:
    if entry.price["currency"] != sub["currency"]:
        raise ApiError(
            f"The price {entry.price['id']} is in {entry.price['currency']}, the subscription in "
            f"{sub['currency']}.", param="items[price]",
        )  # fmt: skip


def _add(call: Call, sub: Object, entry: Entry, how: Terms) -> None:
    """Add an item whose period ends at the next boundary of its interval."""
    _check_currency(sub, entry)
    known = {item["price"]["id"] for item in sub["items"]["data"]}
    if entry.price["id"] in known and entry.quantity is None:
        raise ApiError(
            f"Price {entry.price['id']} is already used by an existing Subscription Item.",
            param="items",
        )
    item = new_item(sub, entry, now=how.at)
    if sub["status"] == "trialing":
        item["current_period_end"] = sub["trial_end"]
    else:
        lifecycle.start_periods(sub, [item], at=how.at)
        begun = prorations.boundary_before(sub, item)
        item["current_period_start"] = max(begun, min(sub["start_date"], how.at))
    sub["items"]["data"].append(item)
    if not lines.is_metered(item):
        _charge(call, sub, item, how)


def _charge(call: Call, sub: Object, item: Object, how: Terms) -> None:
    if how.proration != "none" and _is_charged(sub):
        prorations.debit(call, sub, item, at=how.at)


def _settle(
    call: Call, sub: Object, item: Object, how: Terms, *, clear_usage: bool = False
) -> None:
    """Bill or credit what an item as it was comes to, up to the moment of the change."""
    if how.proration != "none" and _is_charged(sub):
        if not lines.is_metered(item):
            prorations.credit(call, sub, item, at=how.at)
        elif not clear_usage:
            prorations.bill_usage(call, sub, item, at=how.at)


def _restart(call: Call, sub: Object, how: Terms, renewed: list[Object]) -> Object | None:
    """Begin new periods now: of all items, or of those whose interval is another.

    A new interval moves the anchor where it is the only item's (docs: "Changing to a price with a
    different billing interval").
    """
    now, items = how.at, sub["items"]["data"]
    chosen = items if not renewed or len(items) == len(renewed) else renewed
    for item in chosen:
        if item not in renewed:
            _settle(call, sub, item, how)
    if chosen is items:
        sub["billing_cycle_anchor"] = now
    lifecycle.start_periods(sub, chosen, at=now)
    if chosen is items:
        return lifecycle.bill_in_advance(call, sub, at=now, reason="subscription_update")
    for item in chosen:
        if not lines.is_metered(item):
            _charge(call, sub, item, how)
    return lifecycle.bill_pending(call, sub, at=now)


def collect(call: Call, invoice: Object | None, *, behavior: str) -> None:
    """Finalise the invoice of a change at once.

    Raises:
        ApiError: the payment failed and the caller wants the change only if it is paid.
    """
    if invoice is None or call.is_preview:
        return
    done = invoices.finalize(call, invoice, at=call.now(invoice))
    if behavior == "error_if_incomplete" and done["status"] == "open" and done["_failed_at"]:
        raise ApiError(
            done.get("_refusal", NO_CARD.message), status=402, kind="card_error",
            code="card_declined",
        )  # fmt: skip
