"""What is billed: invoices, how one would look, and what waits for the next one."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

from billing import answers
from billing.answers import StripeInvoice, StripePaid, StripePendingItem
from billing.gateways.calls import Calls, StripeRefused, proration, seconds, typed, wrapped


class Invoices(Calls):
    """Calls on invoices and on the items that wait for one."""

    def invoice(self, invoice_id: str) -> StripeInvoice:
        with wrapped():
            return self._invoice(self._v1.invoices.retrieve(invoice_id))

    def invoices(self, customer_id: str) -> list[StripeInvoice]:
        """Return a customer's invoices, newest first."""
        with wrapped():
            found = self._v1.invoices.list({"customer": customer_id, "limit": 100})
            return [self._invoice(body) for body in found.auto_paging_iter()]

    def preview(self, subscription_id: str) -> StripeInvoice:
        """Return what Stripe would charge for the period so far."""
        with wrapped():
            return self._invoice(
                self._v1.invoices.create_preview({"subscription": subscription_id})
            )

    def preview_change(
        self,
        *,
        subscription_id: str,
        items: Sequence[dict[str, Any]],
        at: datetime | None,
        behavior: Literal["create_prorations", "always_invoice", "none"],
    ) -> StripeInvoice:
        """Return the invoice that a change of items would make, without changing anything.

        `items` are as in an update of a subscription. With `always_invoice` it is the invoice
        made at once, else the next one.
        """
        details = {"items": list(items), **proration(behavior, at)}
        values = {"subscription": subscription_id, "subscription_details": details}
        with wrapped():
            return self._invoice(self._v1.invoices.create_preview(typed(values)))

    def preview_new(self, *, customer_id: str, items: Sequence[dict[str, Any]]) -> StripeInvoice:
        """Return the first invoice of a subscription that the customer does not have yet."""
        details = {"items": list(items), "billing_mode": {"type": "flexible"}}
        values = {"customer": customer_id, "subscription_details": details}
        with wrapped():
            return self._invoice(self._v1.invoices.create_preview(typed(values)))

    def finalize_invoice(self, *, key: str, invoice_id: str) -> StripeInvoice:
        """Fix a draft and have it collected."""
        with wrapped():
            return self._invoice(
                self._v1.invoices.finalize_invoice(
                    invoice_id, {"auto_advance": True}, {"idempotency_key": key}
                )
            )

    def pay_invoice(self, *, key: str, invoice_id: str) -> StripeInvoice:
        """Charge the card for an open invoice now.

        Raises:
            StripeRefused: with the bank's word; code `card_declined` and the like.
        """
        with wrapped():
            return self._invoice(self._v1.invoices.pay(invoice_id, {}, {"idempotency_key": key}))

    def paid(self, invoice_id: str) -> StripePaid:
        """Return who paid an invoice and how, with what went back of each charge since.

        Source: docs.stripe.com/api/invoice-payment/object
        """
        with wrapped():
            body: Any = self._v1.invoices.retrieve(invoice_id, {"expand": ["payments"]})
            payments = [each.payment for each in body.payments.data if each.status == "paid"]
            charges = [self._charge(each) for each in payments]
            return answers.paid(body, [c for c in charges if c and c.status == "succeeded"])

    def _charge(self, payment: Any) -> Any:
        """Return the newest charge of a payment, None where it was made outside of Stripe."""
        if payment.type == "payment_intent":
            intent = self._v1.payment_intents.retrieve(
                payment.payment_intent, {"expand": ["latest_charge"]}
            )
            return intent.latest_charge
        return self._v1.charges.retrieve(payment.charge) if payment.type == "charge" else None

    def add_invoice_item(
        self,
        *,
        key: str,
        customer_id: str,
        subscription_id: str,
        amount: int,
        currency: str,
        description: str,
        period: tuple[datetime, datetime],
        metadata: dict[str, str],
    ) -> str:
        """Put an amount (minor units, below zero for a credit) on the subscription's next invoice.

        Without a subscription it waits for `invoice_pending`. Returns the invoice item's id.
        """
        values = {
            "customer": customer_id,
            "amount": amount,
            "currency": currency.lower(),
            "description": description,
            "period": {"start": seconds(period[0]), "end": seconds(period[1])},
            "metadata": metadata,
        }
        if subscription_id:
            values["subscription"] = subscription_id
        with wrapped():
            return self._write(self._v1.invoice_items.create, values, key).id

    def find_invoice_item(self, *, customer_id: str, adjustment: str) -> StripePendingItem | None:
        """Return the item that bears this name (`metadata`), on an invoice already or not."""
        with wrapped():
            found = self._v1.invoice_items.list({"customer": customer_id, "limit": 100})
            items = map(answers.pending_item, found.auto_paging_iter())
            return next((i for i in items if i.metadata.get("adjustment") == adjustment), None)

    def invoice_pending(self, *, key: str, customer_id: str, subscription_id: str = "") -> str:
        """Make an invoice of what waits for a customer without a subscription; return its id.

        With one, of what waits for it: also where it has ended and will have no other invoice.
        """
        values: dict[str, Any] = {
            "customer": customer_id,
            "auto_advance": True,
            "collection_method": "charge_automatically",
            "pending_invoice_items_behavior": "include",
        }
        if subscription_id:
            values["subscription"] = subscription_id
        with wrapped():
            return self._write(self._v1.invoices.create, values, key).id

    def remove_invoice_item(self, *, key: str, item_id: str) -> None:
        """Take away what waits for an invoice; one that is gone already is no error."""
        try:
            with wrapped():
                self._v1.invoice_items.delete(item_id, None, {"idempotency_key": key})
        except StripeRefused as refusal:
            if refusal.status != HTTPStatus.NOT_FOUND:
                raise

    def pending_items(self, customer_id: str) -> list[StripePendingItem]:
        """Return what waits for the next invoice, newest first."""
        with wrapped():
            found = self._v1.invoice_items.list(
                {"customer": customer_id, "pending": True, "limit": 100}
            )
            return [answers.pending_item(body) for body in found.auto_paging_iter()]

    def _invoice(self, body: Any) -> StripeInvoice:
        lines = body.lines
        data = list(lines.data)
        if lines.has_more:
            data = list(
                self._v1.invoices.line_items.list(body.id, {"limit": 100}).auto_paging_iter()
            )
        return answers.invoice(body, data)
