"""What customers pay with: their cards, and Stripe's pages for them."""

from typing import Any

from billing import answers
from billing.answers import StripeCard
from billing.gateways.calls import Calls, wrapped


class Payment(Calls):
    """Calls on cards and on the pages where they are left."""

    def payment_methods(self, customer_id: str) -> list[StripeCard]:
        """Return a customer's cards, newest first."""
        with wrapped():
            found = self._v1.customers.payment_methods.list(
                customer_id, {"type": "card", "limit": 100}
            )
            customer: Any = self._v1.customers.retrieve(customer_id)
            default_id = customer.invoice_settings.default_payment_method
            return [answers.card(body, default_id=default_id) for body in found.data]

    def set_default_card(self, *, key: str, customer_id: str, card_id: str) -> None:
        """Pay the invoices to come with this card."""
        with wrapped():
            self._v1.customers.update(
                customer_id,
                {"invoice_settings": {"default_payment_method": card_id}},
                {"idempotency_key": key},
            )

    def detach_card(self, *, key: str, card_id: str) -> None:
        """Forget a card for good."""
        with wrapped():
            self._v1.payment_methods.detach(card_id, {}, {"idempotency_key": key})

    def use_card(self, *, key: str, customer_id: str, payment_method: str) -> None:
        """Attach a card and make it the one that invoices are paid with."""
        with wrapped():
            card = self._v1.payment_methods.attach(
                payment_method, {"customer": customer_id}, {"idempotency_key": f"{key}-attach"}
            )
            self._v1.customers.update(
                customer_id,
                {"invoice_settings": {"default_payment_method": card.id}},
                {"idempotency_key": f"{key}-default"},
            )

    def card_page(self, *, key: str, customer_id: str, done_url: str, back_url: str) -> str:
        """Return the address of a page on which the customer leaves a card."""
        values = {
            "mode": "setup",
            "customer": customer_id,
            "payment_method_types": ["card"],
            "success_url": done_url,
            "cancel_url": back_url,
        }
        with wrapped():
            return str(self._write(self._v1.checkout.sessions.create, values, key).url)

    def portal_page(self, *, key: str, customer_id: str, back_url: str) -> str:
        """Return the address of the page with the customer's invoices and cards."""
        values = {"customer": customer_id, "return_url": back_url}
        with wrapped():
            return str(self._write(self._v1.billing_portal.sessions.create, values, key).url)
