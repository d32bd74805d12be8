"""Cards of customers, payment intents, charges and refunds.

Contract: docs.stripe.com/api/payment_intents, .../charges, .../refunds. A payment intent here
belongs to an invoice; one that a caller creates can be confirmed, cancelled and refunded.
"""

from billing.sandbox import cards
from billing.sandbox.call import Call, Route, created_filter, merge_metadata
from billing.sandbox.cards import TEST_CARDS, Refusal
from billing.sandbox.errors import ApiError, KeptRefusal
from billing.sandbox.events import emit, tell_change
from billing.sandbox.store import Object, new_id

NO_CARD = Refusal(
    "missing", None,
    "There is no `default_payment_method` set on this Customer or Invoice. Please set a "
    "`default_payment_method` prior to attempting payment.",
)  # fmt: skip


def new_card(call: Call, name: str) -> Object:
    """Return a fresh card of one of the test cards, kept but attached to nobody."""
    if name not in TEST_CARDS:
        raise ApiError(
            f"No such PaymentMethod: '{name}'", code="resource_missing", param="payment_method"
        )
    card = TEST_CARDS[name]
    body: Object = {
        "id": new_id("pm"), "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": {
            "address": None, "email": None, "name": None, "phone": None, "tax_id": None,
        },
        "card": {
            "brand": card.brand, "checks": None, "country": "DE", "display_brand": card.brand,
            "exp_month": 12, "exp_year": 2034, "fingerprint": None, "funding": "credit",
            "generated_from": None, "last4": card.last4, "networks": None,
            "three_d_secure_usage": None, "wallet": None,
        },
        "created": call.now(), "customer": None, "livemode": False, "metadata": {},
        "type": "card", "_test_card": name,
    }  # fmt: skip
    return call.store.insert("payment_method", body)


def attach_card(call: Call, card_id: str, customer: Object) -> Object:
    """Give a customer a card; `card_id` may be the name of a test card.

    Raises:
        ApiError: the bank refuses the card already when it is saved.
    """
    is_name = card_id.startswith("pm_card_")
    card = new_card(call, card_id) if is_name else call.get("payment_method", card_id)
    if card["customer"] not in (None, customer["id"]):
        raise ApiError(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    kind = TEST_CARDS[card["_test_card"]]
    if kind.refusal is not None and kind.on_attach:
        raise declined(kind.refusal)
    card["customer"] = customer["id"]
    call.store.save(card)
    emit(call, "payment_method.attached", card, owner=customer)
    return card


def declined(refusal: Refusal, kind: type[ApiError] = ApiError) -> ApiError:
    """Return a bank's refusal as the error of a call."""
    return kind(
        refusal.message, status=402, kind="card_error", code=refusal.code,
        decline_code=refusal.decline_code,
    )  # fmt: skip


def new_intent(
    call: Call, customer: Object | None, *, amount: int, currency: str, description: str | None,
    at: int,
) -> Object:  # fmt: skip
    intent_id = new_id("pi")
    body: Object = {
        "id": intent_id, "object": "payment_intent", "amount": amount, "amount_capturable": 0,
        "amount_received": 0, "application": None, "application_fee_amount": None,
        "automatic_payment_methods": None, "canceled_at": None, "cancellation_reason": None,
        "capture_method": "automatic", "client_secret": f"{intent_id}_secret_{new_id('x')[2:]}",
        "confirmation_method": "automatic", "created": at, "currency": currency,
        "customer": customer["id"] if customer else None, "description": description,
        "last_payment_error": None, "latest_charge": None, "livemode": False, "metadata": {},
        "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_options": {}, "payment_method_types": ["card"], "processing": None,
        "receipt_email": None, "review": None, "setup_future_usage": None, "shipping": None,
        "statement_descriptor": None, "statement_descriptor_suffix": None,
        "status": "requires_payment_method", "transfer_data": None, "transfer_group": None,
    }  # fmt: skip
    call.store.insert("payment_intent", body)
    emit(call, "payment_intent.created", body, owner=customer)
    return body


def charge(
    call: Call, intent: Object, card: Object, *, at: int, customer: Object | None,
    payer_is_present: bool = False,
) -> Refusal | None:  # fmt: skip
    """Try to collect an intent from a card and record the attempt; None means that it is paid."""
    kind = TEST_CARDS[card["_test_card"]]
    refusal = kind.refusal
    if refusal is None and kind.asks and not payer_is_present:
        refusal = cards.AUTHENTICATION
    body = _charge(intent, card, refusal=refusal, at=at)
    body["receipt_url"] = f"{call.base_url}/_pages/receipts/{body['id']}" if not refusal else None
    call.store.insert("charge", body)
    intent["latest_charge"] = body["id"]
    if refusal is None:
        intent.update(
            status="succeeded", amount_received=intent["amount"], payment_method=card["id"],
            last_payment_error=None,
        )  # fmt: skip
        call.store.save(intent)
        emit(call, "charge.succeeded", body, owner=customer)
        emit(call, "payment_intent.succeeded", intent, owner=customer)
        return None
    asks = refusal is cards.AUTHENTICATION
    intent["status"] = "requires_action" if asks else "requires_payment_method"
    error = {"code": refusal.code, "message": refusal.message, "type": "card_error"}
    if refusal.decline_code:
        error["decline_code"] = refusal.decline_code
    intent["last_payment_error"] = error
    call.store.save(intent)
    emit(call, "charge.failed", body, owner=customer)
    emit(call, "payment_intent.payment_failed", intent, owner=customer)
    return refusal


def _charge(intent: Object, card: Object, *, refusal: Refusal | None, at: int) -> Object:
    details = {key: card["card"][key] for key in ("brand", "country", "funding", "last4")}
    good = refusal is None
    return {
        "id": new_id("ch"), "object": "charge", "amount": intent["amount"],
        "amount_captured": intent["amount"] if good else 0, "amount_refunded": 0,
        "application": None, "application_fee": None, "application_fee_amount": None,
        "balance_transaction": None, "billing_details": card["billing_details"],
        "calculated_statement_descriptor": None, "captured": good, "created": at,
        "currency": intent["currency"], "customer": intent["customer"],
        "description": intent["description"], "disputed": False,
        "failure_code": refusal.code if refusal else None,
        "failure_message": refusal.message if refusal else None, "fraud_details": {},
        "livemode": False, "metadata": {}, "on_behalf_of": None,
        "outcome": {
            "network_status": "approved_by_network" if good else "declined_by_network",
            "reason": refusal.decline_code or refusal.code if refusal else None,
            "risk_level": "normal", "seller_message": None,
            "type": "authorized" if good else "issuer_declined",
        },
        "paid": good, "payment_intent": intent["id"], "payment_method": card["id"],
        "payment_method_details": {
            "type": "card",
            "card": {
                **details, "exp_month": card["card"]["exp_month"],
                "exp_year": card["card"]["exp_year"],
            },
        },
        "receipt_email": None, "receipt_number": None, "refunded": False, "review": None,
        "shipping": None, "source_transfer": None, "statement_descriptor": None,
        "statement_descriptor_suffix": None, "status": "succeeded" if good else "failed",
        "transfer_data": None, "transfer_group": None,
    }  # fmt: skip


def refund_charge(
    call: Call, paid: Object, *, amount: int | None, reason: str | None, at: int,
    metadata: dict[str, str] | None = None,
) -> Object:  # fmt: skip
    """Give back part of a charge, or what is left of it.

    Raises:
        ApiError: nothing was paid, all of it was given back, or less is left.
    """
    left = paid["amount_captured"] - paid["amount_refunded"]
    if paid["amount_captured"] and not left:
        raise ApiError(
            f"Charge {paid['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = left if amount is None else amount
    if not paid["captured"]:
        raise ApiError(f"Charge {paid['id']} was not paid.", code="charge_not_refundable")
    if not 0 < amount <= left:
        raise ApiError(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
        )
    body: Object = {
        "id": new_id("re"), "object": "refund", "amount": amount, "balance_transaction": None,
        "charge": paid["id"], "created": at, "currency": paid["currency"],
        "destination_details": {
            "card": {"type": "refund", "reference_status": "pending"}, "type": "card",
        },
        "metadata": metadata or {}, "payment_intent": paid["payment_intent"], "reason": reason,
        "receipt_number": None, "source_transfer_reversal": None, "status": "succeeded",
        "transfer_reversal": None,
    }  # fmt: skip
    call.store.insert("refund", body)
    paid["amount_refunded"] += amount
    paid["refunded"] = paid["amount_refunded"] == paid["amount_captured"]
    owner = call.store.find("customer", paid["customer"] or "")
    emit(call, "refund.created", body, owner=owner)
    tell_change(call, "charge.refunded", paid, owner=owner)
    return body


def create_refund(call: Call) -> Object:
    p = call.params
    charge_id, intent_id = p.text("charge"), p.text("payment_intent")
    if not charge_id and not intent_id:
        raise ApiError(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.", code="parameter_missing",
        )  # fmt: skip
    if not charge_id:
        intent = call.get("payment_intent", intent_id or "", param="payment_intent", status=400)
        charge_id = intent["latest_charge"]
        if charge_id is None:
            raise ApiError(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
            )
    paid = call.get("charge", charge_id, param="charge", status=400)
    amount = p.integer("amount")
    reason = p.choice("reason", ("", "duplicate", "fraudulent", "requested_by_customer"), "")
    metadata = p.mapping("metadata")
    p.done()
    owner = call.store.find("customer", paid["customer"] or "")
    return refund_charge(
        call, paid, amount=amount, reason=reason or None, at=call.now(owner), metadata=metadata
    )


def list_refunds(call: Call) -> Object:
    p = call.params
    paid, intent, within = p.text("charge"), p.text("payment_intent"), created_filter(p)
    return call.page_of(
        "refund", url="/v1/refunds",
        keep=lambda r: paid in (None, r["charge"]) and intent in (None, r["payment_intent"])
        and within(r),
    )  # fmt: skip


def _attach(call: Call) -> Object:
    customer = call.named("customer", "customer")
    call.params.done()
    return attach_card(call, call.path["id"], customer)


def _detach(call: Call) -> Object:
    card = call.get("payment_method", call.path["id"])
    call.params.done()
    return detach_card(call, card)


def detach_card(call: Call, card: Object) -> Object:
    """Take a card away from its customer for good."""
    if card["customer"] is None:
        raise ApiError(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.", code="payment_method_unexpected_state",
        )  # fmt: skip
    customer = call.get("customer", card["customer"])
    card["customer"] = None
    tell_change(call, "payment_method.detached", card, owner=customer)
    if customer["invoice_settings"]["default_payment_method"] == card["id"]:
        customer["invoice_settings"]["default_payment_method"] = None
        tell_change(call, "customer.updated", customer)
    return card


def _create_card(call: Call) -> Object:
    """Create a card from its number, or from Stripe's token names (`card[token]=tok_visa`)."""
    p = call.params
    p.choice("type", ("card",), "card")
    given = p.child("card")
    token, number = given.text("token"), given.text("number")
    name = f"pm_card_{token.removeprefix('tok_')}" if token else cards.by_number(number or "")
    month, year = given.integer("exp_month", 12), given.integer("exp_year", 2034)
    given.skip("cvc")
    metadata = p.mapping("metadata") or {}
    p.done()
    body = new_card(call, name)
    body["card"].update(exp_month=month, exp_year=year)
    return call.store.save({**body, "metadata": metadata})


def _cards_of(call: Call) -> Object:
    customer = call.get("customer", call.path["id"])
    call.params.skip("type", "allow_redisplay")
    url = f"/v1/customers/{customer['id']}/payment_methods"
    return call.page_of("payment_method", url=url, customer=customer["id"])


def _list_cards(call: Call) -> Object:
    customer = call.params.text("customer")
    call.params.skip("type", "allow_redisplay")
    return call.page_of(
        "payment_method", url="/v1/payment_methods", customer=customer,
        keep=lambda card: card["customer"] is not None,
    )  # fmt: skip


def _create_intent(call: Call) -> Object:
    p = call.params
    amount = p.integer("amount")
    if amount is None or amount < 1:
        raise ApiError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    customer_id = p.text("customer")
    customer = call.get("customer", customer_id) if customer_id else None
    body = new_intent(
        call, customer, amount=amount, currency=p.required("currency").lower(),
        description=p.text("description"), at=call.now(customer),
    )  # fmt: skip
    body["metadata"] = p.mapping("metadata") or {}
    wanted, confirm = p.text("payment_method"), p.boolean("confirm")
    off_session = p.boolean("off_session")
    p.skip("payment_method_types", "automatic_payment_methods", "return_url")
    p.done()
    if wanted:
        body["payment_method"] = _card(call, wanted)["id"]
        body["status"] = "requires_confirmation"
    call.store.save(body)
    return _confirm(call, body, present=not off_session) if confirm else body


def _card(call: Call, card_id: str) -> Object:
    if card_id.startswith("pm_card_"):
        return new_card(call, card_id)
    return call.get("payment_method", card_id, param="payment_method", status=400)


def _confirm(call: Call, intent: Object, *, present: bool) -> Object:
    if intent["status"] not in ("requires_confirmation", "requires_payment_method"):
        raise ApiError(
            f"This PaymentIntent's payment_method could not be updated because it has a status of "
            f"{intent['status']}.", code="payment_intent_unexpected_state",
        )  # fmt: skip
    if intent["payment_method"] is None:
        raise ApiError(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    customer = call.store.find("customer", intent["customer"] or "")
    card = call.get("payment_method", intent["payment_method"])
    refusal = charge(
        call, intent, card, at=call.now(customer), customer=customer, payer_is_present=present
    )
    if refusal is not None:
        raise declined(refusal, KeptRefusal)
    return intent


def confirm_intent(call: Call) -> Object:
    p, body = call.params, call.get("payment_intent", call.path["id"])
    wanted, off_session = p.text("payment_method"), p.boolean("off_session")
    p.skip("return_url")
    p.done()
    if wanted:
        body["payment_method"] = _card(call, wanted)["id"]
    return _confirm(call, body, present=not off_session)


def cancel_intent(call: Call) -> Object:
    p, body = call.params, call.get("payment_intent", call.path["id"])
    reason = p.text("cancellation_reason")
    p.done()
    if body["status"] in ("succeeded", "canceled"):
        raise ApiError(
            f"You cannot cancel this PaymentIntent because it has a status of {body['status']}.",
            code="payment_intent_unexpected_state",
        )
    owner = call.store.find("customer", body["customer"] or "")
    body.update(status="canceled", canceled_at=call.now(owner), cancellation_reason=reason)
    tell_change(call, "payment_intent.canceled", body, owner=owner)
    return body


def _list_intents(call: Call) -> Object:
    customer, within = call.params.text("customer"), created_filter(call.params)
    return call.page_of("payment_intent", url="/v1/payment_intents", customer=customer, keep=within)


def _list_charges(call: Call) -> Object:
    p = call.params
    customer, intent, within = p.text("customer"), p.text("payment_intent"), created_filter(p)
    return call.page_of(
        "charge", url="/v1/charges", customer=customer,
        keep=lambda c: intent in (None, c["payment_intent"]) and within(c),
    )  # fmt: skip


def _update(kind: str, event: str) -> Route:
    """Return the call that changes an object's description and metadata."""

    def handler(call: Call) -> Object:
        p, body = call.params, call.get(kind, call.path["id"])
        if "description" in p:
            body["description"] = p.text("description")
        body["metadata"] = merge_metadata(body["metadata"], p.mapping("metadata"))
        p.done()
        owner = call.store.find("customer", body.get("customer") or "")
        tell_change(call, event, body, owner=owner)
        return body

    return Route("POST", f"/v1/{kind}s/{{id}}", handler)


def _get(kind: str) -> Route:
    return Route("GET", f"/v1/{kind}s/{{id}}", lambda call: call.get(kind, call.path["id"]))


ROUTES = [
    Route("GET", "/v1/customers/{id}/payment_methods", _cards_of),
    Route("POST", "/v1/payment_methods", _create_card),
    Route("GET", "/v1/payment_methods", _list_cards),
    _get("payment_method"),
    Route("POST", "/v1/payment_methods/{id}/attach", _attach),
    Route("POST", "/v1/payment_methods/{id}/detach", _detach),
    Route("POST", "/v1/payment_intents", _create_intent),
    Route("GET", "/v1/payment_intents", _list_intents),
    _get("payment_intent"),
    Route("POST", "/v1/payment_intents/{id}/confirm", confirm_intent),
    Route("POST", "/v1/payment_intents/{id}/cancel", cancel_intent),
    Route("GET", "/v1/charges", _list_charges),
    _get("charge"),
    _update("charge", "charge.updated"),
    Route("POST", "/v1/refunds", create_refund),
    Route("GET", "/v1/refunds", list_refunds),
    _get("refund"),
    _update("refund", "refund.updated"),
]
