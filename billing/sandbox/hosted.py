"""Checkout and portal sessions, and the plain pages a person clicks through."""

from html import escape

from billing.sandbox.call import Call, Route
from billing.sandbox.customers import TEST_CARDS, new_card
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.store import Object, new_id

DAY_S = 24 * 3600


def create_checkout(call: Call) -> Object:
    """Open a page on which the customer leaves a card (mode setup)."""
    p = call.params
    if p.choice("mode", ("setup", "subscription", "payment"), "payment") != "setup":
        raise ApiError("This stand-in knows Checkout in mode `setup` only.", param="mode")
    customer = call.named("customer", "customer")
    now, session_id = call.now(), new_id("cs_test", length=40)
    body: Object = {
        "id": session_id, "object": "checkout.session", "adaptive_pricing": None,
        "after_expiration": None, "amount_subtotal": None, "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "cancel_url": p.text("cancel_url"), "client_reference_id": p.text("client_reference_id"),
        "created": now, "currency": p.text("currency"), "custom_fields": [],
        "custom_text": {
            "after_submit": None, "shipping_address": None, "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": customer["id"], "customer_email": None, "expires_at": now + DAY_S,
        "livemode": False, "metadata": p.mapping("metadata") or {}, "mode": "setup",
        "payment_method_types": p.texts("payment_method_types") or ["card"],
        "payment_status": "no_payment_required", "shipping_options": [], "status": "open",
        "success_url": p.required("success_url"),
        "url": f"{call.base_url}/_pages/checkout/{session_id}",
    }  # fmt: skip
    p.done()
    return call.store.insert("checkout.session", body)


def get_checkout(call: Call) -> Object:
    return call.get("checkout.session", call.path["id"])


def create_portal(call: Call) -> Object:
    """Open the page on which a customer looks after invoices and cards."""
    p, customer = call.params, call.named("customer", "customer")
    session_id = new_id("bps")
    body: Object = {
        "id": session_id, "object": "billing_portal.session", "configuration": "bpc_sandbox",
        "created": call.now(), "customer": customer["id"], "customer_account": None, "flow": None,
        "livemode": False, "locale": p.text("locale"), "on_behalf_of": None,
        "return_url": p.text("return_url"),
        "url": f"{call.base_url}/_pages/portal/{session_id}",
    }  # fmt: skip
    p.done()
    return call.store.insert("billing_portal.session", body)


def complete_checkout(call: Call, session_id: str, card_name: str) -> str:
    """Attach the card that was chosen and return where the browser goes on."""
    session = call.get("checkout.session", session_id)
    if session["status"] == "open":
        customer = call.get("customer", session["customer"])
        card = new_card(call, card_name)
        card["customer"] = customer["id"]
        call.store.save(card)
        customer["invoice_settings"]["default_payment_method"] = card["id"]
        call.store.save(customer)
        session["status"] = "complete"
        call.store.save(session)
        emit(call, "payment_method.attached", card, owner=customer)
        emit(call, "customer.updated", customer, owner=customer)
        emit(call, "checkout.session.completed", session, owner=customer)
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _page(title: str, content: str) -> str:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;"
        "padding:0 1rem}button,a.b{display:block;width:100%;min-height:48px;margin:.5rem 0;"
        "font:inherit}table{width:100%;border-collapse:collapse}td{padding:.4rem 0;"
        "border-top:1px solid #ccc}td:last-child{text-align:right}</style>"
        f"<h1>{escape(title)}</h1><p>Stand-in for Stripe on this machine. No money moves.</p>"
        f"{content}</html>"
    )


def checkout_page(call: Call, session_id: str) -> str:
    session = call.get("checkout.session", session_id)
    buttons = "".join(
        f"<button name=card value={name}>{brand.title()} ending in {last4}"
        f"{'' if good else ' (will be declined)'}</button>"
        for name, (brand, last4, good) in TEST_CARDS.items()
    )
    back = f"<a href='{escape(session['cancel_url'])}'>Back</a>" if session["cancel_url"] else ""
    return _page("Add a card", f"<form method=post>{buttons}</form>{back}")


def portal_page(call: Call, session_id: str) -> str:
    session = call.get("billing_portal.session", session_id)
    invoices = call.store.all("invoice", customer=session["customer"])
    rows = "".join(_row(_link(i), i["status"], _money(i["total"], i["currency"])) for i in invoices)
    back = session["return_url"]
    link = f"<a href='{escape(back)}'>Back</a>" if back else ""
    return _page("Invoices", f"<table>{rows}</table>{link}")


def invoice_page(call: Call, invoice_id: str) -> str:
    invoice = call.get("invoice", invoice_id)
    currency = invoice["currency"]
    rows = "".join(
        _row(escape(line["description"]), _money(line["amount"], currency))
        for line in invoice["lines"]["data"]
    )
    total = _row("<b>Total</b>", f"<b>{_money(invoice['total'], currency)}</b>")
    return _page(
        f"Invoice {invoice['number'] or '(draft)'}",
        f"<p>{escape(invoice['customer_name'] or '')}: {invoice['status']}</p>"
        f"<table>{rows}{total}</table>",
    )


def _link(invoice: Object) -> str:
    url, text = invoice["hosted_invoice_url"] or "#", invoice["number"] or "Draft"
    return f"<a href='{escape(url)}'>{escape(text)}</a>"


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _money(amount: int, currency: str) -> str:
    return f"{amount / 100:,.2f} {escape(currency.upper())}"


ROUTES = [
    Route("POST", "/v1/checkout/sessions", create_checkout),
    Route("GET", "/v1/checkout/sessions/{id}", get_checkout),
    Route("POST", "/v1/billing_portal/sessions", create_portal),
]
