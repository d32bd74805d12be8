"""Products, prices, and the meters that prices can count."""

from decimal import Decimal, InvalidOperation

from billing.sandbox.call import Call, Handler, Route, merge_metadata, public
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, new_id


def create_product(call: Call) -> Object:
    p = call.params
    product_id = p.text("id") or new_id("prod", length=14)
    if call.store.find("product", product_id):
        raise ApiError("Product already exists.", code="resource_already_exists", param="id")
    body = _product(call, p, product_id)
    p.done()
    call.store.insert("product", body)
    emit(call, "product.created", body)
    return body


def _product(call: Call, p: Params, product_id: str) -> Object:
    now = call.now()
    return {
        "id": product_id, "object": "product", "active": p.boolean("active", True),
        "created": now, "updated": now, "default_price": None, "images": [], "livemode": False,
        "description": p.text("description"), "marketing_features": [],
        "metadata": p.mapping("metadata") or {}, "name": p.required("name"),
        "package_dimensions": None, "shippable": None, "statement_descriptor": None,
        "tax_code": p.text("tax_code"), "unit_label": p.text("unit_label"), "url": p.text("url"),
    }  # fmt: skip


def update_product(call: Call) -> Object:
    p, body = call.params, call.get("product", call.path["id"])
    for key in ("name", "description", "unit_label", "tax_code"):
        if key in p:
            body[key] = p.text(key)
    body["active"] = p.boolean("active", body["active"])
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    body["updated"] = call.now()
    p.done()
    call.store.save(body)
    emit(call, "product.updated", body)
    return body


def get_product(call: Call) -> Object:
    return call.get("product", call.path["id"])


def list_products(call: Call) -> Object:
    found = call.store.all("product")
    if "active" in call.params:
        wanted = call.params.boolean("active")
        found = [o for o in found if o["active"] == wanted]
    ids = call.params.texts("ids")
    return call.page([o for o in found if not ids or o["id"] in ids], url="/v1/products")


def _amounts(p: Params, name: str = "unit_amount") -> tuple[int | None, str | None]:
    """Return an amount as whole minor units (None when it has a fraction) and as a decimal."""
    whole, exact = p.integer(name), p.text(f"{name}_decimal")
    if whole is not None:
        return whole, str(whole)
    if exact is None:
        return None, None
    try:
        value = Decimal(exact)
    except InvalidOperation:
        raise ApiError(f"Invalid decimal: {exact}", param=f"{name}_decimal") from None
    exponent = value.as_tuple().exponent
    if value < 0 or not isinstance(exponent, int) or exponent < -12:
        raise ApiError(
            f"Invalid decimal: {exact}; must have at most 12 decimal places",
            param=f"{name}_decimal",
        )
    return (int(value) if value == value.to_integral_value() else None), exact


def _tiers(p: Params) -> list[Object]:
    tiers = []
    for tier in p.children("tiers"):
        up_to = tier.required("up_to")
        unit, unit_decimal = _amounts(tier)
        flat, flat_decimal = _amounts(tier, "flat_amount")
        tiers.append(
            {
                "up_to": None if up_to == "inf" else int(up_to),
                "unit_amount": unit,
                "unit_amount_decimal": unit_decimal,
                "flat_amount": flat,
                "flat_amount_decimal": flat_decimal,
            }
        )
    return tiers


def _recurring(call: Call, p: Params) -> Object | None:
    if "recurring" not in p:
        return None
    r = p.child("recurring")
    body: Object = {
        "interval": r.choice("interval", ("day", "week", "month", "year"), ""),
        "interval_count": r.integer("interval_count", 1),
        "usage_type": r.choice("usage_type", ("licensed", "metered"), "licensed"),
        "meter": r.text("meter"),
    }
    if body["usage_type"] == "metered":
        if not body["meter"]:
            raise ApiError(
                "As of version 2025-03-31.basil, a metered price must be backed by a meter.",
                param="recurring[meter]",
            )
        call.get("billing.meter", body["meter"], param="recurring[meter]", status=400)
    return body


def create_price(call: Call) -> Object:
    p = call.params
    if "product_data" in p:
        product = _product(call, p.child("product_data"), new_id("prod", length=14))
        call.store.insert("product", product)
    else:
        product = call.named("product", "product")
    scheme = p.choice("billing_scheme", ("per_unit", "tiered"), "per_unit")
    unit, unit_decimal = _amounts(p)
    tiers = _tiers(p)
    if scheme == "per_unit" and unit_decimal is None:
        raise ApiError(
            "You must pass either `unit_amount` or `unit_amount_decimal`.", param="unit_amount"
        )
    recurring = _recurring(call, p)
    lookup_key = p.text("lookup_key")
    _claim_lookup_key(call, lookup_key, transfer=p.boolean("transfer_lookup_key"))
    body: Object = {
        "id": new_id("price"), "object": "price", "active": p.boolean("active", True),
        "billing_scheme": scheme, "created": call.now(), "currency": p.required("currency").lower(),
        "custom_unit_amount": None, "livemode": False, "lookup_key": lookup_key,
        "metadata": p.mapping("metadata") or {}, "nickname": p.text("nickname"),
        "product": product["id"], "recurring": recurring,
        "tax_behavior": p.text("tax_behavior") or "unspecified",
        "tiers_mode": p.text("tiers_mode") if scheme == "tiered" else None,
        "transform_quantity": None, "type": "recurring" if recurring else "one_time",
        "unit_amount": unit, "unit_amount_decimal": unit_decimal, "_tiers": tiers,
    }  # fmt: skip
    p.done()
    call.store.insert("price", body)
    emit(call, "price.created", body)
    return body


def _claim_lookup_key(call: Call, key: str | None, *, transfer: bool) -> None:
    if key is None:
        return
    for other in call.store.all("price"):
        if other["lookup_key"] == key and other["active"]:
            if not transfer:
                raise ApiError(
                    f"A price (`{other['id']}`) already uses that lookup key.", param="lookup_key"
                )
            other["lookup_key"] = None
            call.store.save(other)


def get_price(call: Call) -> Object:
    return call.get("price", call.path["id"])


def update_price(call: Call) -> Object:
    p, body = call.params, call.get("price", call.path["id"])
    body["active"] = p.boolean("active", body["active"])
    if "nickname" in p:
        body["nickname"] = p.text("nickname")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    call.store.save(body)
    emit(call, "price.updated", body)
    return body


def list_prices(call: Call) -> Object:
    p, found = call.params, call.store.all("price")
    keys, product = p.texts("lookup_keys"), p.text("product")
    if "active" in p:
        wanted = p.boolean("active")
        found = [o for o in found if o["active"] == wanted]
    found = [
        o for o in found
        if (not keys or o["lookup_key"] in keys) and product in (None, o["product"])
    ]  # fmt: skip
    return call.page(found, url="/v1/prices")


def create_meter(call: Call) -> Object:
    p, now = call.params, call.now()
    event_name = p.required("event_name")
    for other in call.store.all("billing.meter"):
        if other["event_name"] == event_name and other["status"] == "active":
            raise ApiError(
                "There already exists an active meter with the provided event_name. "
                f"Meter ID: {other['id']}.",
                param="event_name",
            )
    formula = p.child("default_aggregation").choice("formula", ("count", "sum", "last"), "")
    mapping, value = p.child("customer_mapping"), p.child("value_settings")
    body: Object = {
        "id": new_id("mtr_test"), "object": "billing.meter", "created": now, "updated": now,
        "customer_mapping": {
            "event_payload_key": mapping.text("event_payload_key") or "stripe_customer_id",
            "type": mapping.choice("type", ("by_id",), "by_id"),
        },
        "default_aggregation": {"formula": formula}, "display_name": p.required("display_name"),
        "event_name": event_name, "event_time_window": p.text("event_time_window"),
        "livemode": False, "status": "active", "status_transitions": {"deactivated_at": None},
        "value_settings": {"event_payload_key": value.text("event_payload_key") or "value"},
    }  # fmt: skip
    p.done()
    call.store.insert("billing.meter", body)
    emit(call, "billing.meter.created", body)
    return body


def get_meter(call: Call) -> Object:
    return call.get("billing.meter", call.path["id"])


def list_meters(call: Call) -> Object:
    found, status = call.store.all("billing.meter"), call.params.text("status")
    return call.page([o for o in found if status in (None, o["status"])], url="/v1/billing/meters")


def switch_meter(status: str) -> Handler:
    def handler(call: Call) -> Object:
        body = call.get("billing.meter", call.path["id"])
        call.params.done()
        body["status"] = status
        body["status_transitions"]["deactivated_at"] = call.now() if status == "inactive" else None
        return public(call.store.save(body))

    return handler


ROUTES = [
    Route("POST", "/v1/products", create_product),
    Route("GET", "/v1/products", list_products),
    Route("GET", "/v1/products/{id}", get_product),
    Route("POST", "/v1/products/{id}", update_product),
    Route("POST", "/v1/prices", create_price),
    Route("GET", "/v1/prices", list_prices),
    Route("GET", "/v1/prices/{id}", get_price),
    Route("POST", "/v1/prices/{id}", update_price),
    Route("POST", "/v1/billing/meters", create_meter),
    Route("GET", "/v1/billing/meters", list_meters),
    Route("GET", "/v1/billing/meters/{id}", get_meter),
    Route("POST", "/v1/billing/meters/{id}/deactivate", switch_meter("inactive")),
    Route("POST", "/v1/billing/meters/{id}/reactivate", switch_meter("active")),
]
