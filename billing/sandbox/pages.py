"""The pages that a person clicks through: checkout, portal, invoice."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from billing.sandbox import checkout, invoice_api, papers, portal, taxes
from billing.sandbox.call import Call
from billing.sandbox.cards import TEST_CARDS, by_number
from billing.sandbox.errors import ApiError
from billing.sandbox.papers import day, money
from billing.sandbox.payments import attach_card
from billing.sandbox.store import Object

Form = dict[str, str]
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}"
    "button,input,select{display:block;width:100%;min-height:48px;margin:.5rem 0;font:inherit;"
    "box-sizing:border-box}table{width:100%;border-collapse:collapse}td{padding:.4rem 0;"
    "border-top:1px solid #ccc}td:last-child{text-align:right}fieldset{margin:1rem 0}"
    ".refused{border:1px solid #b00;padding:.5rem}"
)
_ADDRESS = {
    "line1": "Street", "line2": "Street, second line", "postal_code": "Postal code",
    "city": "City", "state": "State", "country": "Country (two letters)",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """How a page is shown, and what its forms do (they return where the browser goes on)."""

    show: Callable[[Call, str, str], str]
    act: Callable[[Call, str, Form], str]


def _page(title: str, content: str, refusal: str = "") -> str:
    told = f"<p class=refused role=alert>{escape(refusal)}</p>" if refusal else ""
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1><p>Stand-in for Stripe on this machine. No money moves.</p>"
        f"{told}{content}</html>"
    )


def _row(*cells: str) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _table(rows: list[str]) -> str:
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _input(name: str, label: str, value: str | None = "", kind: str = "text") -> str:
    field = f"<input type={kind} name={name} value='{escape(value or '')}'>"
    return f"<label>{escape(label)}{field}</label>"


def _button(text: str, **values: str) -> str:
    """Return a form of its own with one button that sends these values."""
    hidden = "".join(f"<input type=hidden name={k} value='{escape(v)}'>" for k, v in values.items())
    return f"<form method=post>{hidden}<button>{escape(text)}</button></form>"


def _card_buttons() -> str:
    return "".join(
        f"<button name=card value={name}>{card.label}{_told(name)}</button>"
        for name, card in TEST_CARDS.items()
    )


def _told(name: str) -> str:
    card = TEST_CARDS[name]
    if card.on_attach:
        return f" (refused: {escape(card.refusal.message)})" if card.refusal else ""
    if card.refusal:
        return " (can be saved; charges will be declined)"
    return " (asks the payer each time)" if card.asks else ""


def _address_fields(address: Object | None) -> str:
    known = address or {}
    return "".join(_input(f"address_{k}", text, known.get(k)) for k, text in _ADDRESS.items())


def _tax_id_fields() -> str:
    options = "".join(f"<option>{kind}</option>" for kind in taxes.FORMS)
    return f"<label>Kind of tax id<select name=tax_id_type>{options}</select></label>" + _input(
        "tax_id_value", "Tax id"
    )


def _back(url: str | None, text: str = "Back") -> str:
    return f"<p><a href='{escape(url)}'>{escape(text)}</a></p>" if url else ""


def _show_checkout(call: Call, session_id: str, refusal: str) -> str:
    session = call.get("checkout.session", session_id)
    if session["status"] != "open":
        return _page("This page is no longer open", _back(session["cancel_url"]))
    code = ""
    if session["allow_promotion_codes"]:
        used = session["_code"]
        known = call.get("promotion_code", used)["code"] if used else ""
        code = (
            f"<form method=post>{_input('promotion_code', 'Promotion code', known)}"
            "<button name=apply value=code>Apply the code</button></form>"
        )
    fields = ""
    if session["billing_address_collection"] == "required" or session["_updates"]:
        customer = call.store.find("customer", session["customer"] or "") or {}
        fields = _input("name", "Name", customer.get("name"))
        fields += _address_fields(customer.get("address"))
    if not session["customer"]:
        fields += _input("email", "E-mail", session["customer_email"], "email")
    if session["tax_id_collection"]["enabled"]:
        fields += _tax_id_fields()
    form = f"<form method=post>{fields}{_input('number', 'Card number')}"
    form += f"<button name=pay value=number>{_verb(session)}</button>{_card_buttons()}"
    if not checkout.needs_card(call, session):
        form += "<button name=pay value=nothing>Start without a card</button>"
    titles = {"setup": "Add a card", "payment": "Pay", "subscription": "Subscribe"}
    content = _bought(call, session) + code + form + "</form>" + _back(session["cancel_url"])
    return _page(titles[session["mode"]], content, refusal)


def _verb(session: Object) -> str:
    return {"setup": "Save the card", "payment": "Pay", "subscription": "Subscribe"}[
        session["mode"]
    ]


def _bought(call: Call, session: Object) -> str:
    rows = []
    for entry in session["_items"]:
        price = call.get("price", entry["price"])
        name = escape(call.get("product", price["product"])["name"])
        rows.append(_row(f"{entry['quantity'] or ''} {name}".strip(), _rate(price)))
    if session["total_details"]:
        off = session["total_details"]["amount_discount"]
        if off:
            rows.append(_row("Discount", money(-off, session["currency"])))
        due = money(session["amount_total"], session["currency"])
        rows.append(_row("<b>Due now</b>", f"<b>{due}</b>"))
    days = session["_subscription"].get("trial_period_days")
    if days:
        rows.append(_row(f"Free for {escape(str(days))} days", ""))
    return _table(rows)


def _rate(price: Object) -> str:
    recurring = price["recurring"]
    every = f" / {recurring['interval']}" if recurring else ""
    if price["unit_amount"] is None:
        return f"{escape(price['unit_amount_decimal'] or 'by tiers')}{every}"
    return f"{money(price['unit_amount'], price['currency'])}{every}"


def _act_checkout(call: Call, session_id: str, form: Form) -> str:
    session = call.get("checkout.session", session_id)
    if form.get("apply") == "code":
        checkout.use_code(call, session, form.get("promotion_code", ""))
        return str(session["url"])
    if session["status"] == "expired":
        raise ApiError("This page is no longer open.")
    if session["status"] == "open":
        checkout.complete(call, session, form)
    url: str = session["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session["id"])


def _show_portal(call: Call, session_id: str, refusal: str) -> str:
    session = call.get("billing_portal.session", session_id)
    customer = call.get("customer", session["customer"])
    features = portal.features_of(call, session)
    flow = session["flow"]
    if flow is not None:
        content = _flow(call, session)
        return _page("Your subscription", content + _back(session["return_url"]), refusal)
    content = ""
    if features["payment_method_update"]["enabled"]:
        content += _cards(call, customer)
    if features["subscription_cancel"]["enabled"]:
        content += _subscriptions(call, customer)
    if features["customer_update"]["enabled"]:
        content += _who(call, customer, features["customer_update"]["allowed_updates"])
    if features["invoice_history"]["enabled"]:
        content += _invoices(call, customer)
    return _page("Invoices", content + _back(session["return_url"]), refusal)


def _flow(call: Call, session: Object) -> str:
    if session["flow"]["type"] == "payment_method_update":
        return _new_card()
    sub_id = session["flow"]["subscription_cancel"]["subscription"]
    sub = call.get("subscription", sub_id)
    return _button(f"Cancel on {day(portal.ends_on(sub))}", act="cancel", subscription=sub_id)


def _new_card() -> str:
    return (
        "<form method=post><input type=hidden name=act value=card>"
        f"{_input('number', 'Card number')}<button>Save the card</button>{_card_buttons()}</form>"
    )


def _cards(call: Call, customer: Object) -> str:
    default, rows = customer["invoice_settings"]["default_payment_method"], []
    for card in call.store.all("payment_method", customer=customer["id"]):
        shown = TEST_CARDS[card["_test_card"]].label
        use = "Default" if card["id"] == default else _button("Use", act="default", id=card["id"])
        rows.append(_row(shown, use, _button("Remove", act="remove", id=card["id"])))
    return (
        f"<h2>Cards</h2>{_table(rows)}<details><summary>Add a card</summary>{_new_card()}</details>"
    )


def _subscriptions(call: Call, customer: Object) -> str:
    rows = []
    for sub in call.store.all("subscription", customer=customer["id"]):
        if sub["status"] in ("canceled", "incomplete_expired"):
            continue
        ends = sub["cancel_at_period_end"]
        until = f"ends on {day(sub['cancel_at'])}" if ends else f"renews {day(portal.ends_on(sub))}"
        act, text = ("renew", "Renew") if ends else ("cancel", "Cancel at the end of the period")
        names = ", ".join(
            call.get("product", item["price"]["product"])["name"] for item in sub["items"]["data"]
        )
        rows.append(
            _row(
                escape(names),
                f"{sub['status']}, {until}",
                _button(text, act=act, subscription=sub["id"]),
            )
        )
    return f"<h2>Subscriptions</h2>{_table(rows)}"


def _who(call: Call, customer: Object, allowed: list[str]) -> str:
    fields = ""
    for key, label in (("name", "Name"), ("email", "E-mail")):
        if key in allowed:
            fields += _input(key, label, customer[key])
    if "address" in allowed:
        fields += _address_fields(customer["address"])
    content = (
        f"<form method=post><input type=hidden name=act value=who>{fields}"
        "<button>Save</button></form>"
    )
    if "tax_id" in allowed:
        rows = [
            _row(f"{t['type']} {escape(t['value'])}", _button("Remove", act="untax", id=t["id"]))
            for t in taxes.tax_ids_of(call, customer["id"])
        ]
        content += _table(rows) + (
            f"<form method=post><input type=hidden name=act value=tax>{_tax_id_fields()}"
            "<button>Add the tax id</button></form>"
        )
    return f"<h2>Billing information</h2>{content}"


def _invoices(call: Call, customer: Object) -> str:
    rows = []
    for invoice in call.store.all("invoice", customer=customer["id"]):
        url, text = invoice["hosted_invoice_url"] or "#", invoice["number"] or "Draft"
        pdf = (
            f"<a href='{escape(invoice['invoice_pdf'])}'>PDF</a>" if invoice["invoice_pdf"] else ""
        )
        rows.append(
            _row(
                f"<a href='{escape(url)}'>{escape(text)}</a>", invoice["status"], pdf,
                money(invoice["total"], invoice["currency"]),
            )
        )  # fmt: skip
    return f"<h2>Invoices</h2>{_table(rows)}"


def _act_portal(call: Call, session_id: str, form: Form) -> str:
    session = call.get("billing_portal.session", session_id)
    portal.act(call, session, form)
    flow = session["flow"]
    if flow and flow["after_completion"]["type"] == "redirect":
        return str(flow["after_completion"]["redirect"]["return_url"])
    return str(session["return_url"] if flow and session["return_url"] else session["url"])


def _show_invoice(call: Call, invoice_id: str, refusal: str) -> str:
    invoice = invoice_api.counted(call, call.get("invoice", invoice_id))
    currency = invoice["currency"]
    rows = [
        _row(escape(line["description"] or ""), money(line["amount"], currency))
        for line in invoice["lines"]["data"]
    ]
    off, taxed = invoice["total_discount_amounts"], invoice["total_taxes"]
    rows += [_row("Discount", money(-part["amount"], currency)) for part in off]
    rows += [_row("Tax", money(part["amount"], currency)) for part in taxed]
    rows.append(_row("<b>Total</b>", f"<b>{money(invoice['total'], currency)}</b>"))
    rows.append(_row("Due", money(invoice["amount_remaining"], currency)))
    pay = ""
    if invoice["status"] == "open":
        pay = (
            "<form method=post><button name=pay value=saved>Pay with the saved card</button>"
            f"{_input('number', 'Card number')}<button>Pay</button>{_card_buttons()}</form>"
        )
    head = f"<p>{escape(invoice['customer_name'] or '')}: {invoice['status']}</p>"
    link = _back(invoice["invoice_pdf"], "PDF")
    title = f"Invoice {invoice['number'] or '(draft)'}"
    return _page(title, head + _table(rows) + link + pay, refusal)


def _act_invoice(call: Call, invoice_id: str, form: Form) -> str:
    invoice = call.get("invoice", invoice_id)
    if invoice["status"] == "open":
        card, customer = None, call.get("customer", invoice["customer"])
        name = by_number(form["number"]) if form.get("number") else form.get("card")
        if name:
            card = attach_card(call, name, customer)
        invoice_api.pay_with(call, invoice, card, present=True)
    return str(invoice["hosted_invoice_url"])


def paper(call: Call, kind: str, object_id: str) -> bytes:
    """Return a document as PDF.

    Raises:
        ApiError: there is no such document.
    """
    if kind == "invoices":
        return papers.invoice_pdf(call, invoice_api.counted(call, call.get("invoice", object_id)))
    if kind == "receipts":
        return papers.receipt_pdf(call, call.get("charge", object_id))
    return papers.credit_note_pdf(call, call.get("credit_note", object_id))


PAPERS = ("invoices", "receipts", "credit_notes")
PAGES = {
    "checkout": Page(_show_checkout, _act_checkout),
    "portal": Page(_show_portal, _act_portal),
    "invoices": Page(_show_invoice, _act_invoice),
}
