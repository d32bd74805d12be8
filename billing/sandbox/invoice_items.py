"""The calls on invoice items: amounts that wait for the next invoice, or belong to a draft."""

from decimal import Decimal

from billing.sandbox import lines, taxes
from billing.sandbox.call import Call, Route, created_filter, merge_metadata
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit, tell_change
from billing.sandbox.forms import Params
from billing.sandbox.pricing import amount, half_up
from billing.sandbox.store import Object
from billing.sandbox.totals import total


def create(call: Call) -> Object:
    p = call.params
    invoice_id, draft = p.text("invoice"), None
    if invoice_id:
        draft = draft_of(call, invoice_id)
    customer_id = p.text("customer") or (draft and draft["customer"])
    if not customer_id:
        raise ApiError(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    customer = call.get("customer", customer_id, param="customer", status=400)
    body = create_for(call, customer, p, draft=draft)
    p.done()
    return body


def create_for(call: Call, customer: Object, p: Params, *, draft: Object | None) -> Object:
    """Create an invoice item from the parameters of a call or of a preview."""
    now, sub = call.now(customer), None
    sub_id = p.text("subscription")
    if sub_id:
        sub = call.get("subscription", sub_id, param="subscription", status=400)
        if sub["customer"] != customer["id"]:
            raise ApiError("The subscription belongs to another customer.", param="subscription")
    price_id = p.child("pricing").text("price")
    price = call.get("price", price_id, param="pricing[price]", status=400) if price_id else None
    currency = p.text("currency") or (price or sub or draft or {}).get("currency")
    currency = currency or customer["currency"]
    if not currency:
        raise ApiError("Missing required param: currency.", code="parameter_missing")
    cost, quantity = _cost(p, price)
    span = p.child("period")
    body = lines.new_item(
        call, customer, amount=cost, currency=currency.lower(),
        text=_text(call, p, price), quantity=quantity, at=now,
        period=(span.integer("start", now) or now, span.integer("end", now) or now),
        subscription=sub["id"] if sub else None,
    )  # fmt: skip
    body["discountable"] = p.boolean("discountable", cost >= 0)
    body["metadata"] = p.mapping("metadata") or {}
    if price is not None:
        details = {"price": price["id"], "product": price["product"]}
        body["pricing"] = {
            "price_details": details, "type": "price_details",
            "unit_amount_decimal": price["unit_amount_decimal"],
        }  # fmt: skip
        body["_product"] = price["product"]
    _rates(call, p, body)
    if draft is not None:
        body["invoice"] = draft["id"]
        draft["lines"]["data"].append(lines.from_item(body, draft))
        total(call, draft)
        tell_change(call, "invoice.updated", draft)
    return call.store.save(body)


def _text(call: Call, p: Params, price: Object | None) -> str | None:
    if "description" in p or price is None:
        return p.text("description")
    return str(call.get("product", price["product"])["name"])


def _cost(p: Params, price: Object | None) -> tuple[int, int]:
    """Return amount and quantity: as given, or quantity times unit amount."""
    given, unit = p.integer("amount"), p.decimal("unit_amount_decimal")
    quantity = p.integer("quantity", 1) or 0
    if given is not None and unit is not None:
        raise ApiError("You may only specify one of amount, unit_amount_decimal.", param="amount")
    if given is not None:
        return given, quantity
    if unit is not None:
        return half_up(Decimal(quantity) * unit), quantity
    if price is not None:
        return amount(price, quantity), quantity
    raise ApiError("You must specify either amount or pricing.", code="parameter_missing")


def _rates(call: Call, p: Params, body: Object) -> None:
    if "tax_rates" in p:
        found = taxes.rates(call, p.texts("tax_rates"), param="tax_rates")
        body.update(tax_rates=found, _tax_rates=found or None)


def draft_of(call: Call, invoice_id: str) -> Object:
    """Return an invoice that can still be changed."""
    draft = call.get("invoice", invoice_id, param="invoice", status=400)
    if draft["status"] != "draft":
        raise ApiError(
            "This invoice is no longer editable.", code="invoice_not_editable", param="invoice"
        )
    return draft


def _get(call: Call) -> Object:
    return call.get("invoiceitem", call.path["id"])


def _list(call: Call) -> Object:
    p = call.params
    customer, invoice, within = p.text("customer"), p.text("invoice"), created_filter(p)
    pending = p.boolean("pending") if "pending" in p else None
    return call.page_of(
        "invoiceitem", url="/v1/invoiceitems", customer=customer,
        keep=lambda i: invoice in (None, i["invoice"]) and within({"created": i["date"]})
        and pending in (None, i["invoice"] is None),
    )  # fmt: skip


def _update(call: Call) -> Object:
    p, body = call.params, _get(call)
    draft = draft_of(call, body["invoice"]) if body["invoice"] else None
    if {"amount", "unit_amount_decimal", "quantity"} & p.keys():
        if "quantity" in p and not {"amount", "unit_amount_decimal"} & p.keys():
            p.put("unit_amount_decimal", str(Decimal(body["amount"]) / (body["quantity"] or 1)))
        cost, quantity = _cost(p, None)
        body.update(amount=cost, net_amount=cost, quantity=quantity, quantity_decimal=str(quantity))
    if "description" in p:
        body["description"] = p.text("description")
    if "period" in p:
        span = p.child("period")
        body["period"] = {"start": span.integer("start"), "end": span.integer("end")}
    body["discountable"] = p.boolean("discountable", body["discountable"])
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    _rates(call, p, body)
    p.done()
    call.store.save(body)
    if draft is not None:
        data = draft["lines"]["data"]
        place = next(i for i, line in enumerate(data) if _is_line_of(line, body))
        data[place] = {**lines.from_item(body, draft), "id": data[place]["id"]}
        total(call, draft)
        tell_change(call, "invoice.updated", draft)
    return body


def _is_line_of(line: Object, item: Object) -> bool:
    parent = line["parent"]
    details = parent[parent["type"]]
    return bool(details["invoice_item"] == item["id"])


def _delete(call: Call) -> Object:
    body = _get(call)
    call.params.done()
    if body["invoice"]:
        draft = draft_of(call, body["invoice"])
        data = draft["lines"]["data"]
        draft["lines"]["data"] = [line for line in data if not _is_line_of(line, body)]
        total(call, draft)
        tell_change(call, "invoice.updated", draft)
    call.store.delete(body["id"])
    emit(call, "invoiceitem.deleted", body, owner=body)
    return {"id": body["id"], "object": "invoiceitem", "deleted": True}


ROUTES = [
    Route("POST", "/v1/invoiceitems", create),
    Route("GET", "/v1/invoiceitems", _list),
    Route("GET", "/v1/invoiceitems/{id}", _get),
    Route("POST", "/v1/invoiceitems/{id}", _update),
    Route("DELETE", "/v1/invoiceitems/{id}", _delete),
]
