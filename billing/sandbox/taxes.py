"""Tax ids of customers, tax rates, and whether tax can be computed automatically.

Contract: docs.stripe.com/billing/customer/tax-ids, .../billing/taxes/tax-rates. Automatic tax is
accepted for customers with an address and comes to nothing: which tax is due where is not known
here.
"""

import re
from decimal import Decimal

from billing.sandbox.call import Call, Route, merge_metadata
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.events import emit, tell_change
from billing.sandbox.store import Object, new_id

# The members' own forms (European Commission, "VAT number structure", VIES).
_EU = {
    "AT": r"U\d{8}", "BE": r"[01]\d{9}", "BG": r"\d{9,10}", "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}", "DE": r"\d{9}", "DK": r"\d{8}", "EE": r"\d{9}", "EL": r"\d{9}",
    "ES": r"[A-Z0-9]\d{7}[A-Z0-9]", "FI": r"\d{8}", "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "HR": r"\d{11}", "HU": r"\d{8}", "IE": r"(\d[A-Z0-9+*]\d{5}[A-Z]{1,2})", "IT": r"\d{11}",
    "LT": r"(\d{9}|\d{12})", "LU": r"\d{8}", "LV": r"\d{11}", "MT": r"\d{8}",
    "NL": r"\d{9}B\d{2}", "PL": r"\d{10}", "PT": r"\d{9}", "RO": r"\d{2,10}", "SE": r"\d{12}",
    "SI": r"\d{8}", "SK": r"\d{10}", "XI": r"\d{9}",
}  # fmt: skip
FORMS = {
    "eu_vat": "|".join(f"{country}{rest}" for country, rest in _EU.items()),
    "gb_vat": r"GB(\d{9}|\d{12}|GD\d{3}|HA\d{3})",
    "ch_vat": r"CHE-?\d{3}\.?\d{3}\.?\d{3} ?(MWST|TVA|IVA)",
    "us_ein": r"\d{2}-?\d{7}",
    "pl_nip": r"\d{10}",
}
_COUNTRY = {"gb_vat": "GB", "ch_vat": "CH", "us_ein": "US", "pl_nip": "PL"}
# Values that test mode looks up with this result (docs.stripe.com/billing/customer/tax-ids).
_TEST_RESULTS = {"000000001": "unverified", "000000002": "pending"}


def new_tax_id(call: Call, customer: Object, *, kind: str, value: str) -> Object:
    """Give a customer a tax id.

    Raises:
        ApiError: the value does not have the form of its type.
    """
    if kind not in FORMS:
        raise ApiError(f"This stand-in knows the tax ids {', '.join(FORMS)}.", param="type")
    if not re.fullmatch(FORMS[kind], value.strip().upper()):
        raise ApiError(f"Invalid value for {kind}.", code="tax_id_invalid", param="value")
    country = _COUNTRY.get(kind) or value[:2].upper().replace("EL", "GR")
    body: Object = {
        "id": new_id("txi"), "object": "tax_id", "country": country, "created": call.now(customer),
        "customer": customer["id"], "livemode": False,
        "owner": {"customer": customer["id"], "type": "customer"}, "type": kind,
        "value": value.strip(), "verification": _verification(kind, value, customer),
    }  # fmt: skip
    call.store.insert("tax_id", body)
    emit(call, "customer.tax_id.created", body, owner=customer)
    return body


def _verification(kind: str, value: str, customer: Object) -> Object | None:
    """Return the result of the look-up; Stripe looks up European and British numbers only."""
    if kind not in ("eu_vat", "gb_vat"):
        return {"status": "unavailable", "verified_address": None, "verified_name": None}
    status = _TEST_RESULTS.get(value[2:], "verified")
    name = customer["name"] if status == "verified" else None
    return {"status": status, "verified_address": None, "verified_name": name}


def tax_ids_of(call: Call, customer_id: str) -> list[Object]:
    return call.store.all("tax_id", customer=customer_id)


def _create_id(call: Call) -> Object:
    p, customer = call.params, call.get("customer", call.path["id"])
    kind, value = p.required("type"), p.required("value")
    p.done()
    return new_tax_id(call, customer, kind=kind, value=value)


def _list_ids(call: Call) -> Object:
    customer = call.get("customer", call.path["id"])
    url = f"/v1/customers/{customer['id']}/tax_ids"
    return call.page_of("tax_id", url=url, customer=customer["id"])


def _get_id(call: Call) -> Object:
    body = call.get("tax_id", call.path["tax_id"])
    if body["customer"] != call.path["id"]:
        raise missing("tax_id", body["id"])
    return body


def _delete_id(call: Call) -> Object:
    body = _get_id(call)
    call.params.done()
    remove_tax_id(call, call.get("customer", body["customer"]), body["id"])
    return {"id": body["id"], "object": "tax_id", "deleted": True}


def remove_tax_id(call: Call, customer: Object, tax_id: str) -> None:
    body = call.get("tax_id", tax_id)
    if body["customer"] != customer["id"]:
        raise missing("tax_id", tax_id)
    call.store.delete(tax_id)
    emit(call, "customer.tax_id.deleted", body, owner=customer)


def rates(call: Call, ids: list[str], *, param: str = "default_tax_rates") -> list[Object]:
    """Return the tax rates with these ids; an archived one is refused."""
    found = [call.get("tax_rate", rate_id, param=param, status=400) for rate_id in ids]
    for rate in found:
        if not rate["active"]:
            raise ApiError(
                f"The tax rate {rate['id']} is not active and cannot be used.", param=param
            )
    return found


def require_location(customer: Object) -> None:
    """Refuse automatic tax for a customer of whom nobody knows where he is."""
    if not (customer["address"] or {}).get("country"):
        raise ApiError(
            "The customer's location isn't recognized. Set a valid customer address in order to "
            "automatically calculate tax.", code="customer_tax_location_invalid",
            param="automatic_tax",
        )  # fmt: skip


def _create_rate(call: Call) -> Object:
    p = call.params
    percentage = p.decimal("percentage")
    if percentage is None or not 0 <= percentage <= 100:
        raise ApiError("Invalid percentage: must be between 0 and 100", param="percentage")
    p.required_key("inclusive")
    body: Object = {
        "id": new_id("txr"), "object": "tax_rate", "active": p.boolean("active", True),
        "country": p.text("country"), "created": call.now(), "description": p.text("description"),
        "display_name": p.required("display_name"), "effective_percentage": None,
        "flat_amount": None, "inclusive": p.boolean("inclusive"),
        "jurisdiction": p.text("jurisdiction"), "jurisdiction_level": None, "livemode": False,
        "metadata": p.mapping("metadata") or {}, "percentage": _number(percentage),
        "rate_type": "percentage", "state": p.text("state"), "tax_type": p.text("tax_type"),
    }  # fmt: skip
    p.done()
    call.store.insert("tax_rate", body)
    emit(call, "tax_rate.created", body)
    return body


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _update_rate(call: Call) -> Object:
    p, body = call.params, call.get("tax_rate", call.path["id"])
    body["active"] = p.boolean("active", body["active"])
    for key in ("country", "description", "display_name", "jurisdiction", "state", "tax_type"):
        if key in p:
            body[key] = p.text(key)
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    tell_change(call, "tax_rate.updated", body)
    return body


def _list_rates(call: Call) -> Object:
    p = call.params
    active = p.boolean("active") if "active" in p else None
    inclusive = p.boolean("inclusive") if "inclusive" in p else None
    return call.page_of(
        "tax_rate", url="/v1/tax_rates",
        keep=lambda r: active in (None, r["active"]) and inclusive in (None, r["inclusive"]),
    )  # fmt: skip


ROUTES = [
    Route("POST", "/v1/customers/{id}/tax_ids", _create_id),
    Route("GET", "/v1/customers/{id}/tax_ids", _list_ids),
    Route("GET", "/v1/customers/{id}/tax_ids/{tax_id}", _get_id),
    Route("DELETE", "/v1/customers/{id}/tax_ids/{tax_id}", _delete_id),
    Route("POST", "/v1/tax_rates", _create_rate),
    Route("GET", "/v1/tax_rates", _list_rates),
    Route("GET", "/v1/tax_rates/{id}", lambda call: call.get("tax_rate", call.path["id"])),
    Route("POST", "/v1/tax_rates/{id}", _update_rate),
]
