"""Coupons, promotion codes, and the discounts they give to subscriptions.

Contract: docs.stripe.com/billing/subscriptions/coupons. `once` is used up by the first invoice
that it lowers; `repeating` lowers the invoices made within its months. Discounts belong to
subscriptions: this version of the API has no parameter that gives one to a customer.
"""

from decimal import Decimal

from billing.sandbox import calendar
from billing.sandbox.call import Call, Route, created_filter, merge_metadata, public
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.pricing import half_up
from billing.sandbox.store import Object, new_id


def _create_coupon(call: Call) -> Object:
    p = call.params
    coupon_id = p.text("id") or new_id("x", length=8)[2:]
    if call.store.find("coupon", coupon_id):
        raise ApiError("Coupon already exists.", code="resource_already_exists", param="id")
    percent, amount = p.decimal("percent_off"), p.integer("amount_off")
    _check_terms(percent, amount, currency="currency" in p)
    duration = p.choice("duration", ("once", "repeating", "forever"), "once")
    months = p.integer("duration_in_months")
    if (duration == "repeating") != (months is not None):
        raise ApiError(
            "You must pass duration_in_months with duration=repeating only.",
            param="duration_in_months",
        )
    options = {
        currency: {"amount_off": int(part["amount_off"])}
        for currency, part in p.mappings("currency_options").items()
    }
    currency = p.text("currency")
    redeem_by = p.integer("redeem_by")
    if redeem_by is not None and redeem_by <= call.now():
        raise ApiError("Invalid timestamp: must be in the future", param="redeem_by")
    body: Object = {
        "id": coupon_id, "object": "coupon", "amount_off": amount, "created": call.now(),
        "currency": currency.lower() if currency else None, "duration": duration,
        "duration_in_months": months, "livemode": False,
        "max_redemptions": p.integer("max_redemptions"), "metadata": p.mapping("metadata") or {},
        "name": p.text("name"), "percent_off": float(percent) if percent is not None else None,
        "redeem_by": redeem_by, "times_redeemed": 0, "valid": True,
        "_products": p.child("applies_to").texts("products"), "_options": options,
    }  # fmt: skip
    p.done()
    call.store.insert("coupon", body)
    emit(call, "coupon.created", body)
    return body


def _check_terms(percent: Decimal | None, amount: int | None, *, currency: bool) -> None:
    if (percent is None) == (amount is None):
        raise ApiError("You must pass either percent_off or amount_off.", param="percent_off")
    if percent is not None and not 0 < percent <= 100:
        raise ApiError("percent_off must be above 0 and at most 100.", param="percent_off")
    if amount is not None and (amount < 1 or not currency):
        raise ApiError("You must pass currency when passing amount_off, above 0.", param="currency")


def _update_coupon(call: Call) -> Object:
    p, body = call.params, _coupon(call, call.path["id"])
    if "name" in p:
        body["name"] = p.text("name")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    tell_change(call, "coupon.updated", body)
    return body


def _delete_coupon(call: Call) -> Object:
    """Delete a coupon; discounts that it gave already go on."""
    body = _coupon(call, call.path["id"])
    call.params.done()
    call.store.save({**body, "_deleted": True, "valid": False})
    emit(call, "coupon.deleted", body)
    return {"id": body["id"], "object": "coupon", "deleted": True}


def _coupon(call: Call, coupon_id: str, *, param: str = "id", status: int = 404) -> Object:
    body = call.get("coupon", coupon_id, param=param, status=status)
    if body.get("_deleted"):
        raise missing("coupon", coupon_id, param=param, status=status)
    return {**body, "valid": _is_valid(call, body)}


def _is_valid(call: Call, coupon: Object) -> bool:
    most = coupon["max_redemptions"]
    over = coupon["redeem_by"] is not None and coupon["redeem_by"] < call.now()
    return bool(coupon["valid"]) and not over and (most is None or coupon["times_redeemed"] < most)


def _list_coupons(call: Call) -> Object:
    within = created_filter(call.params)
    page = call.page_of(
        "coupon", url="/v1/coupons", keep=lambda c: within(c) and not c.get("_deleted")
    )
    page["data"] = [public(_coupon(call, c["id"])) for c in page["data"]]
    return page


def _create_code(call: Call) -> Object:
    p = call.params
    promotion = p.child("promotion")
    promotion.choice("type", ("coupon",), "")
    coupon = _coupon(call, promotion.required("coupon"), param="promotion[coupon]", status=400)
    code = p.text("code") or new_id("x", length=8)[2:].upper()
    if _code_in_use(call, code):
        raise ApiError(
            f"An active promotion code with `code: {code}` already exists.", param="code"
        )
    rules = p.child("restrictions")
    body: Object = {
        "id": new_id("promo"), "object": "promotion_code", "active": p.boolean("active", True),
        "code": code, "created": call.now(), "customer": p.text("customer"),
        "expires_at": p.integer("expires_at"), "livemode": False,
        "max_redemptions": p.integer("max_redemptions"), "metadata": p.mapping("metadata") or {},
        "promotion": {"coupon": coupon["id"], "type": "coupon"},
        "restrictions": {
            "first_time_transaction": rules.boolean("first_time_transaction"),
            "minimum_amount": rules.integer("minimum_amount"),
            "minimum_amount_currency": rules.text("minimum_amount_currency"),
        },
        "times_redeemed": 0,
    }  # fmt: skip
    p.done()
    call.store.insert("promotion_code", body)
    emit(call, "promotion_code.created", body)
    return body


def _code_in_use(call: Call, code: str) -> bool:
    return any(
        c["code"].lower() == code.lower() and _is_active(call, c)
        for c in call.store.all("promotion_code")
    )


def _is_active(call: Call, code: Object) -> bool:
    most = code["max_redemptions"]
    over = code["expires_at"] is not None and code["expires_at"] < call.now()
    coupon = call.store.find("coupon", code["promotion"]["coupon"])
    return (
        bool(code["active"]) and not over and (most is None or code["times_redeemed"] < most)
        and coupon is not None and _is_valid(call, coupon)
    )  # fmt: skip


def _update_code(call: Call) -> Object:
    p, body = call.params, call.get("promotion_code", call.path["id"])
    body["active"] = p.boolean("active", body["active"])
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    tell_change(call, "promotion_code.updated", body)
    return body


def _list_codes(call: Call) -> Object:
    p = call.params
    code, coupon, customer = p.text("code"), p.text("coupon"), p.text("customer")
    active = p.boolean("active") if "active" in p else None
    page = call.page_of(
        "promotion_code", url="/v1/promotion_codes",
        keep=lambda c: (code is None or c["code"].lower() == code.lower())
        and coupon in (None, c["promotion"]["coupon"]) and customer in (None, c["customer"])
        and active in (None, _is_active(call, c)),
    )  # fmt: skip
    page["data"] = [{**c, "active": _is_active(call, c)} for c in page["data"]]
    return page


def _get_code(call: Call) -> Object:
    body = call.get("promotion_code", call.path["id"])
    return {**body, "active": _is_active(call, body)}


def find_code(call: Call, typed: str) -> Object:
    """Return the active promotion code that a person typed.

    Raises:
        ApiError: there is none.
    """
    for code in call.store.all("promotion_code"):
        if code["code"].lower() == typed.strip().lower() and _is_active(call, code):
            return code
    raise ApiError("This code is invalid.", param="promotion_code")


def replace(
    call: Call, wanted: list[Params], *, customer: Object, sub: Object, at: int
) -> list[str]:
    """Give a subscription exactly these discounts and return their ids.

    One that is named by its id stays; the others end with an event.
    """
    old = list(sub["discounts"])
    ids = []
    for entry in wanted:
        kept = entry.text("discount")
        if kept is not None:
            if kept not in old:
                raise missing("discount", kept, param="discounts", status=400)
            ids.append(kept)
            continue
        body = redeem(
            call, coupon_id=entry.text("coupon"), code_id=entry.text("promotion_code"),
            customer=customer, sub=sub, at=at,
        )  # fmt: skip
        ids.append(body["id"])
    for discount_id in old:
        if discount_id not in ids:
            end(call, call.get("discount", discount_id), owner=customer)
    return ids


def redeem(
    call: Call, *, coupon_id: str | None, code_id: str | None, customer: Object,
    sub: Object, at: int,
) -> Object:  # fmt: skip
    """Use a coupon or a promotion code once and return the discount.

    Raises:
        ApiError: it is unknown, expired, used up, or not for this customer or currency.
    """
    code = None
    if code_id is not None:
        code = call.get("promotion_code", code_id, param="discounts[promotion_code]", status=400)
        if not _is_active(call, code):
            raise ApiError(
                f"This promotion code cannot be redeemed because it is expired or used up: "
                f"{code['code']}.", code="promotion_code_expired", param="discounts",
            )  # fmt: skip
        if code["customer"] not in (None, customer["id"]):
            raise ApiError(
                "This promotion code cannot be redeemed because the associated customer is not "
                "the one it was made for.", param="discounts",
            )  # fmt: skip
        coupon_id = code["promotion"]["coupon"]
    coupon = _coupon(call, coupon_id or "", param="discounts[coupon]", status=400)
    if not coupon["valid"]:
        raise ApiError(f"Coupon expired: {coupon['id']}", code="coupon_expired", param="coupon")
    _check_currency(coupon, sub["currency"])
    coupon["times_redeemed"] += 1
    call.store.save({**coupon, "valid": True})
    if code is not None:
        call.store.save({**code, "times_redeemed": code["times_redeemed"] + 1})
    body: Object = {
        "id": new_id("di"), "object": "discount", "checkout_session": None,
        "customer": customer["id"], "end": _end(coupon, at), "invoice": None,
        "invoice_item": None, "promotion_code": code["id"] if code else None,
        "source": {"coupon": coupon["id"], "type": "coupon"}, "start": at,
        "subscription": sub["id"], "subscription_item": None,
    }  # fmt: skip
    call.store.insert("discount", body)
    emit(call, "customer.discount.created", body, owner=customer)
    return body


def _check_currency(coupon: Object, currency: str) -> None:
    if coupon["amount_off"] is None:
        return
    if currency != coupon["currency"] and currency not in coupon["_options"]:
        raise ApiError(
            f"The coupon {coupon['id']} cannot be applied because its currency does not match "
            f"{currency}.", param="discounts",
        )  # fmt: skip


def _end(coupon: Object, at: int) -> int | None:
    if coupon["duration"] != "repeating":
        return None
    return calendar.anchored(at, interval="month", count=coupon["duration_in_months"], steps=1)


def end(call: Call, discount: Object, *, owner: Object) -> None:
    """End a discount. It stays readable, because invoices name it."""
    call.store.save({**discount, "_ended": True})
    emit(call, "customer.discount.deleted", discount, owner=owner)


def active(call: Call, sub: Object | None, *, at: int) -> list[Object]:
    """Return what is taken off a subscription's invoice made at a moment."""
    found = [call.get("discount", discount_id) for discount_id in sub["discounts"]] if sub else []
    return [d for d in found if d["end"] is None or d["end"] > at]


def off(
    call: Call, discount: Object, amounts: list[tuple[int, str | None]], *, currency: str
) -> list[int]:
    """Return what a discount takes off each of some amounts, given with their products."""
    return off_by_coupon(call, discount["source"]["coupon"], amounts, currency=currency)


def off_by_coupon(
    call: Call, coupon_id: str, amounts: list[tuple[int, str | None]], *, currency: str
) -> list[int]:
    """Return what a coupon takes off each amount.

    A percentage is rounded half up per line; an amount is spread in proportion, to the cent.
    """
    coupon = call.get("coupon", coupon_id)
    only = coupon["_products"]
    bases = [max(0, a) if not only or product in only else 0 for a, product in amounts]
    if coupon["percent_off"] is not None:
        percent = Decimal(str(coupon["percent_off"]))
        return [half_up(base * percent / 100) for base in bases]
    whole = sum(bases)
    taken = min(_amount_for(coupon, currency), whole)
    parts, given, seen = [], 0, 0
    for base in bases:
        seen += base
        until = half_up(Decimal(taken) * seen / whole) if whole else 0
        parts.append(until - given)
        given = until
    return parts


def _amount_for(coupon: Object, currency: str) -> int:
    """Return the amount that a coupon takes off in a currency, nothing in one it does not know."""
    if coupon["currency"] == currency:
        return int(coupon["amount_off"])
    option = coupon["_options"].get(currency)
    return int(option["amount_off"]) if option else 0


def settle(call: Call, sub: Object, *, used: list[str], at: int) -> None:
    """End the discounts that an invoice used up, and those whose months are over."""
    for discount_id in list(sub["discounts"]):
        discount = call.get("discount", discount_id)
        if _is_over(call, discount, used=used, at=at):
            sub["discounts"].remove(discount_id)
            end(call, discount, owner=sub)


def _is_over(call: Call, discount: Object, *, used: list[str], at: int) -> bool:
    coupon = call.get("coupon", discount["source"]["coupon"])
    if discount["end"] is not None:
        return bool(discount["end"] <= at)
    return coupon["duration"] == "once" and discount["id"] in used


def _deleted(body: Object) -> Object:
    return {k: v for k, v in body.items() if k != "end"} | {"deleted": True}


def _subscription_discount(call: Call) -> Object:
    sub = call.get("subscription", call.path["sub"])
    if not sub["discounts"] or sub["customer"] != call.path.get("id", sub["customer"]):
        raise missing("discount", sub["id"])
    return call.get("discount", sub["discounts"][0])


def _delete_subscription_discount(call: Call) -> Object:
    sub, body = call.get("subscription", call.path["sub"]), _subscription_discount(call)
    call.params.done()
    for discount_id in sub["discounts"]:
        end(call, call.get("discount", discount_id), owner=sub)
    sub["discounts"] = []
    tell_change(call, "customer.subscription.updated", sub)
    return _deleted(body)


ROUTES = [
    Route("POST", "/v1/coupons", _create_coupon),
    Route("GET", "/v1/coupons", _list_coupons),
    Route("GET", "/v1/coupons/{id}", lambda call: _coupon(call, call.path["id"])),
    Route("POST", "/v1/coupons/{id}", _update_coupon),
    Route("DELETE", "/v1/coupons/{id}", _delete_coupon),
    Route("POST", "/v1/promotion_codes", _create_code),
    Route("GET", "/v1/promotion_codes", _list_codes),
    Route("GET", "/v1/promotion_codes/{id}", _get_code),
    Route("POST", "/v1/promotion_codes/{id}", _update_code),
    Route("GET", "/v1/customers/{id}/subscriptions/{sub}/discount", _subscription_discount),
    Route("DELETE", "/v1/subscriptions/{sub}/discount", _delete_subscription_discount),
]
