"""The calls on invoices: read, preview, finalise, pay, void."""

from billing.sandbox import invoices
from billing.sandbox.call import Call, Route
from billing.sandbox.errors import ApiError
from billing.sandbox.events import emit
from billing.sandbox.store import Object


def get(call: Call) -> Object:
    invoice = call.get("invoice", call.path["id"])
    if invoice["status"] == "draft":
        invoices.recount(call, invoice)
    return invoice


def list_(call: Call) -> Object:
    p = call.params
    found = call.store.all("invoice", customer=p.text("customer"))
    status, sub = p.text("status"), p.text("subscription")
    found = [
        i for i in found if status in (None, i["status"]) and sub in (None, i["_subscription"])
    ]  # fmt: skip
    for invoice in found:
        if invoice["status"] == "draft":
            invoices.recount(call, invoice)
    return call.page(found, url="/v1/invoices")


def lines(call: Call) -> Object:
    invoice = get(call)
    return call.page(invoice["lines"]["data"], url=f"/v1/invoices/{invoice['id']}/lines")


def preview(call: Call) -> Object:
    """Show what the current period would cost with the usage so far."""
    p = call.params
    sub_id, customer = p.text("subscription"), p.text("customer")
    p.skip("preview_mode")
    p.done()
    if sub_id is None:
        live = [
            s for s in call.store.all("subscription", customer=customer or "")
            if s["status"] != "canceled"
        ]  # fmt: skip
        if not live:
            raise ApiError(
                f"No upcoming invoices for customer: {customer}", code="invoice_upcoming_none",
                status=404,
            )  # fmt: skip
        sub = live[0]
    else:
        sub = call.get("subscription", sub_id, param="subscription", status=400)
    end = sub["items"]["data"][0]["current_period_end"]
    invoice = invoices.compose(
        call, sub, end=end, reason="upcoming", at=call.now(sub), next_end=None
    )
    invoice["id"] = invoice["id"].replace("in_", "upcoming_in_")
    return invoice


def finalize(call: Call) -> Object:
    invoice = call.get("invoice", call.path["id"])
    call.params.skip("auto_advance")
    call.params.done()
    return invoices.finalize(call, invoice, at=call.now(invoice))


def pay(call: Call) -> Object:
    invoice = call.get("invoice", call.path["id"])
    call.params.skip("off_session")
    call.params.done()
    if invoice["status"] == "draft":
        invoices.finalize(call, invoice, at=call.now(invoice))
        return invoice
    if invoice["status"] != "open":
        raise ApiError("Invoice is already paid.", code="invoice_already_paid")
    paid = invoices.collect(call, invoice, at=call.now(invoice))
    if paid["status"] != "paid":
        # The refusal must not undo the attempt that was recorded.
        raise CardDeclinedError(paid)
    return paid


class CardDeclinedError(ApiError):
    """A charge that the bank refused; what was recorded of it stays."""

    def __init__(self, invoice: Object) -> None:
        super().__init__(
            "Your card was declined.", status=402, kind="card_error", code="card_declined"
        )
        self.invoice = invoice


def void(call: Call) -> Object:
    invoice = call.get("invoice", call.path["id"])
    call.params.done()
    if invoice["status"] != "open":
        raise ApiError("You can only pass in open invoices.", code="invoice_not_editable")
    invoice["status"] = "void"
    invoice["status_transitions"]["voided_at"] = call.now(invoice)
    call.store.save(invoice)
    emit(call, "invoice.voided", invoice, owner=invoice)
    return invoice


ROUTES = [
    Route("POST", "/v1/invoices/create_preview", preview),
    Route("GET", "/v1/invoices", list_),
    Route("GET", "/v1/invoices/{id}", get),
    Route("GET", "/v1/invoices/{id}/lines", lines),
    Route("POST", "/v1/invoices/{id}/finalize", finalize),
    Route("POST", "/v1/invoices/{id}/pay", pay),
    Route("POST", "/v1/invoices/{id}/void", void),
]
