"""What the passing of time does to a subscription: trials end, periods renew, it is cancelled.

Contract: docs.stripe.com/billing/subscriptions/overview, .../trials, .../mixed-interval. Each item
has a period of its own; items whose periods end at one moment share an invoice.
"""

from billing.sandbox import calendar, invoices, lines, pricing, prorations
from billing.sandbox.call import Call
from billing.sandbox.events import emit, tell_change
from billing.sandbox.store import Object
from billing.sandbox.totals import net

DAY_S = 24 * 3600
WARN_S = 3 * DAY_S
UPCOMING_S = 7 * DAY_S
# An incomplete subscription expires after 23 hours (docs: "Subscription statuses").
INCOMPLETE_S = 23 * 3600
RENEWS = ("active", "past_due", "unpaid")


def due_of(sub: Object) -> int | None:
    """Return when a subscription next changes by itself."""
    moments = _moments(sub)
    return min(moments)[0] if moments else None


def _moments(sub: Object) -> list[tuple[int, int, str]]:
    """Return what will happen: when, in which order at one moment, and what."""
    status, found = sub["status"], []
    if status == "incomplete":
        return [(sub["created"] + INCOMPLETE_S, 0, "expire")]
    if status not in ("trialing", *RENEWS):
        return []
    if status == "trialing":
        if not sub["_trial_told"]:
            found.append((sub["trial_end"] - WARN_S, 0, "warn"))
        found.append((sub["trial_end"], 2, "end_trial"))
    else:
        end = period_end(sub)
        if sub["_upcoming"] != end and not sub["cancel_at_period_end"]:
            found.append((end - UPCOMING_S, 1, "upcoming"))
        found.append((end, 3, "renew"))
    if sub["cancel_at"] is not None and not sub["cancel_at_period_end"]:
        found.append((sub["cancel_at"], 4, "cancel"))
    return found


def period_end(sub: Object) -> int:
    return int(min(item["current_period_end"] for item in sub["items"]["data"]))


def period_start(sub: Object) -> int:
    return int(min(item["current_period_start"] for item in sub["items"]["data"]))


def pass_time(call: Call, sub: Object, *, at: int) -> None:
    """Do what a subscription's next moment brings."""
    _, _, what = min(_moments(sub))
    if what == "expire":
        expire(call, sub, at=at)
    elif what == "warn":
        warn_of_trial_end(call, sub)
    elif what == "upcoming":
        _tell_upcoming(call, sub, at=at)
    elif what == "end_trial":
        end_trial(call, sub, at=sub["trial_end"])
    elif what == "renew":
        renew(call, sub, end=period_end(sub))
    else:
        final_invoice(call, sub, at=sub["cancel_at"], prorate=True)
        end_subscription(call, sub, at=sub["cancel_at"])


def expire(call: Call, sub: Object, *, at: int) -> None:
    sub.update(status="incomplete_expired", ended_at=at)
    tell_change(call, "customer.subscription.updated", sub)
    invoice = call.store.find("invoice", sub["latest_invoice"] or "")
    if invoice is not None and invoice["status"] == "open":
        invoices.void(call, invoice, at=at)


def warn_of_trial_end(call: Call, sub: Object) -> None:
    sub["_trial_told"] = True
    call.store.save(sub)
    emit(call, "customer.subscription.trial_will_end", sub, owner=sub)


def _tell_upcoming(call: Call, sub: Object, *, at: int) -> None:
    """Announce the next invoice, as it would be now; a period too short is not announced."""
    end = period_end(sub)
    sub["_upcoming"] = end
    call.store.save(sub)
    if at > end - UPCOMING_S or period_start(sub) >= end - UPCOMING_S:
        return
    upcoming = preview_renewal(call, sub)
    if upcoming is not None:
        told = {k: v for k, v in upcoming.items() if k != "id"}
        emit(call, "invoice.upcoming", told, owner=sub)


def preview_renewal(call: Call, sub: Object) -> Object | None:
    """Return the invoice of the next renewal with the usage so far, and undo it."""
    preview = call.as_preview()
    with call.store.undone():
        body = call.get("subscription", sub["id"])
        if body["status"] == "trialing":
            end_trial(preview, body, at=body["trial_end"])
        else:
            renew(preview, body, end=period_end(body))
        return call.store.find("invoice", body["_made"] or "")


def end_trial(call: Call, sub: Object, *, at: int) -> None:
    """Begin to charge, or cancel or pause where no card was left (`trial_settings`)."""
    sub["_made"] = None
    if sub["cancel_at_period_end"]:
        end_subscription(call, sub, at=at)
        return
    settings = sub["trial_settings"] or {"end_behavior": {"missing_payment_method": ""}}
    behavior = settings["end_behavior"]["missing_payment_method"]
    missing = behavior in ("cancel", "pause") and not _has_card(call, sub)
    if missing and behavior == "cancel":
        end_subscription(call, sub, at=at)
        return
    sub["trial_end"] = at
    if missing:
        sub["status"] = "paused"
        tell_change(call, "customer.subscription.updated", sub)
        emit(call, "customer.subscription.paused", sub, owner=sub)
        return
    sub["status"] = "active"
    start_periods(sub, sub["items"]["data"], at=at)
    bill_in_advance(call, sub, at=at, reason="subscription_cycle")
    tell_change(call, "customer.subscription.updated", sub)


def _has_card(call: Call, sub: Object) -> bool:
    customer = call.get("customer", sub["customer"])
    default = customer["invoice_settings"]["default_payment_method"]
    return bool(sub["default_payment_method"] or default)


def start_periods(sub: Object, items: list[Object], *, at: int) -> None:
    """Begin a period for items: to the next boundary of the anchor, each by its own interval."""
    for item in items:
        recurring = item["price"]["recurring"]
        end = calendar.next_boundary(
            sub["billing_cycle_anchor"], at,
            interval=recurring["interval"], count=recurring["interval_count"],
        )  # fmt: skip
        item.update(current_period_start=at, current_period_end=end, _usage_from=at, _debits=[])


def bill_in_advance(
    call: Call, sub: Object, *, at: int, reason: str, since: int | None = None,
    proration: str = "create_prorations",
) -> Object | None:  # fmt: skip
    """Draft the invoice for what is paid up front in periods that have just begun.

    The part of an interval before the first anchor is prorated, or free with `none`. Nothing is
    drafted where nothing is paid up front and nothing waits (flexible mode; docs: "Suppress
    zero-amount line items").
    """
    invoice = _shell(call, sub, at=at, reason=reason, period=(at, at))
    for item in sub["items"]["data"]:
        start, end = item["current_period_start"], item["current_period_end"]
        if lines.is_metered(item):
            continue
        if sub["status"] == "trialing":
            name = lines.name_of(call, item)
            line = lines.item_line(
                call, invoice, item, amount=0, quantity=item["quantity"], period=(start, end),
                text=f"Trial period for {name}",
            )  # fmt: skip
        elif prorations.boundary_before(sub, item) == start:
            line = _advance(call, invoice, item, start=start, end=end)
        elif proration == "none":
            continue
        else:
            line = prorations.first_stub(call, sub, item, invoice, start=since or start)
        invoice["lines"]["data"].append(line)
    return _keep(call, sub, invoice, at=at)


def _shell(call: Call, sub: Object, *, at: int, reason: str, period: tuple[int, int]) -> Object:
    customer = call.get("customer", sub["customer"])
    return invoices.shell(
        call, customer, at=at, currency=sub["currency"], reason=reason, period=period, sub=sub
    )


def _advance(call: Call, invoice: Object, item: Object, *, start: int, end: int) -> Object:
    amount = pricing.amount(item["price"], item["quantity"])
    return lines.item_line(
        call, invoice, item, amount=amount, quantity=item["quantity"], period=(start, end)
    )


def _keep(call: Call, sub: Object, invoice: Object, *, at: int) -> Object | None:
    """Keep a draft that has lines, and remember what was charged in advance for each item."""
    waiting = lines.pending(call, sub["customer"], sub["id"])
    if not invoice["lines"]["data"] and not waiting:
        return None
    sub["latest_invoice"] = sub["_made"] = invoice["id"]
    invoices.keep_draft(call, invoice, sub=sub, at=at)
    items = {item["id"]: item for item in sub["items"]["data"]}
    for line in invoice["lines"]["data"]:
        details = line["parent"]["subscription_item_details"]
        item = items.get(details["subscription_item"]) if details else None
        if item is None or lines.is_metered(item) or details["invoice_item"]:
            continue
        span = line["period"]
        item["_debits"] = [{"amount": net(line), "start": span["start"], "end": span["end"]}]
    return invoice


def renew(call: Call, sub: Object, *, end: int) -> Object | None:
    """End the periods that end now: usage in arrears, the next period in advance."""
    sub["_made"] = None
    ending = sub["cancel_at_period_end"] or sub["cancel_at"] == end
    due = [i for i in sub["items"]["data"] if i["current_period_end"] == end or ending]
    start = min(item["current_period_start"] for item in due)
    invoice = _shell(call, sub, at=end, reason="subscription_cycle", period=(start, end))
    for item in due:
        begin = max(item["current_period_start"], item["_usage_from"])
        if lines.is_metered(item):
            line = lines.usage_line(call, invoice, item, start=begin, end=end)
        elif ending:
            continue
        else:
            line = _advance(call, invoice, item, start=end, end=_next_end(sub, item, end))
        invoice["lines"]["data"].append(line)
    kept = _keep(call, sub, invoice, at=end)
    if ending:
        end_subscription(call, sub, at=end)
        return kept
    for item in due:
        item.update(
            current_period_start=end, current_period_end=_next_end(sub, item, end),
            _usage_from=max(end, item["_usage_from"]),
        )  # fmt: skip
    tell_change(call, "customer.subscription.updated", sub)
    return kept


def _next_end(sub: Object, item: Object, end: int) -> int:
    recurring = item["price"]["recurring"]
    return calendar.next_boundary(
        sub["billing_cycle_anchor"], end,
        interval=recurring["interval"], count=recurring["interval_count"],
    )  # fmt: skip


def final_invoice(call: Call, sub: Object, *, at: int, prorate: bool) -> Object | None:
    """Draft the invoice of a subscription that ends now: usage so far, and what waits."""
    items = sub["items"]["data"]
    if prorate:
        for item in items:
            if not lines.is_metered(item):
                prorations.credit(call, sub, item, at=at)
    invoice = _shell(call, sub, at=at, reason="subscription_update", period=(period_start(sub), at))
    for item in items:
        begin = max(item["current_period_start"], item["_usage_from"])
        if lines.is_metered(item) and begin < at:
            invoice["lines"]["data"].append(
                lines.usage_line(call, invoice, item, start=begin, end=at)
            )
    return _keep(call, sub, invoice, at=at)


def bill_pending(call: Call, sub: Object, *, at: int) -> Object | None:
    """Draft an invoice of what waits for this subscription, if anything does."""
    invoice = _shell(call, sub, at=at, reason="subscription_update", period=(period_start(sub), at))
    return _keep(call, sub, invoice, at=at)


def end_subscription(call: Call, sub: Object, *, at: int) -> Object:
    sub.update(status="canceled", ended_at=at, canceled_at=sub["canceled_at"] or at)
    call.store.save(sub)
    emit(call, "customer.subscription.deleted", sub, owner=sub)
    return sub
