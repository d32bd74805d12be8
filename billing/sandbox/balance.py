"""The customer's balance: below zero Stripe owes the customer, and the next invoice uses it up.

Contract: docs.stripe.com/billing/customer/balance
"""

from billing.sandbox.call import Call, Route, created_filter, merge_metadata
from billing.sandbox.errors import ApiError, missing
from billing.sandbox.events import emit, tell_change
from billing.sandbox.store import Object, new_id


def move(
    call: Call, customer_id: str, amount: int, *, kind: str, currency: str,
    text: str | None = None, invoice: str | None = None, credit_note: str | None = None,
) -> Object:  # fmt: skip
    """Change a balance by an amount and keep why."""
    customer = call.get("customer", customer_id)
    customer["balance"] += amount
    body: Object = {
        "id": new_id("cbtxn"), "object": "customer_balance_transaction", "amount": amount,
        "checkout_session": None, "created": call.now(customer), "credit_note": credit_note,
        "currency": currency, "customer": customer_id, "description": text,
        "ending_balance": customer["balance"], "invoice": invoice, "livemode": False,
        "metadata": {}, "type": kind,
    }  # fmt: skip
    call.store.insert("customer_balance_transaction", body)
    emit(call, "customer_balance_transaction.created", body, owner=customer)
    tell_change(call, "customer.updated", customer)
    return body


def _create(call: Call) -> Object:
    p, customer = call.params, call.get("customer", call.path["id"])
    amount = p.integer("amount")
    if amount is None:
        raise ApiError("Missing required param: amount.", code="parameter_missing", param="amount")
    currency, text = p.required("currency").lower(), p.text("description")
    metadata = p.mapping("metadata")
    p.done()
    if customer["currency"] not in (None, currency):
        raise ApiError(
            f"You cannot combine currencies on a single customer. This customer has "
            f"{customer['currency']}.", param="currency",
        )  # fmt: skip
    body = move(call, customer["id"], amount, kind="adjustment", currency=currency, text=text)
    return call.store.save({**body, "metadata": metadata or {}})


def _list(call: Call) -> Object:
    customer, invoice = call.get("customer", call.path["id"]), call.params.text("invoice")
    within = created_filter(call.params)
    return call.page_of(
        "customer_balance_transaction", customer=customer["id"],
        url=f"/v1/customers/{customer['id']}/balance_transactions",
        keep=lambda t: invoice in (None, t["invoice"]) and within(t),
    )  # fmt: skip


def _get(call: Call) -> Object:
    body = call.get("customer_balance_transaction", call.path["transaction"])
    if body["customer"] != call.path["id"]:
        raise missing("customer_balance_transaction", body["id"])
    return body


def _update(call: Call) -> Object:
    p, body = call.params, _get(call)
    if "description" in p:
        body["description"] = p.text("description")
    body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
    p.done()
    return call.store.save(body)


ROUTES = [
    Route("POST", "/v1/customers/{id}/balance_transactions", _create),
    Route("GET", "/v1/customers/{id}/balance_transactions", _list),
    Route("GET", "/v1/customers/{id}/balance_transactions/{transaction}", _get),
    Route("POST", "/v1/customers/{id}/balance_transactions/{transaction}", _update),
]
