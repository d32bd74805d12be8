"""What is given back of an invoice."""

from typing import Any, Literal

from billing import answers
from billing.answers import StripeCreditNote
from billing.gateways.calls import Calls, wrapped


class CreditNotes(Calls):
    """Calls on credit notes."""

    def credit_note(
        self,
        *,
        key: str,
        invoice_id: str,
        amount: int,
        refund: bool,
        reason: Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"] | None,
        memo: str,
    ) -> StripeCreditNote:
        """Credit part or all of an invoice (minor units, tax included).

        An open invoice becomes smaller. Of a paid one the amount goes back to the card
        (`refund`) or to the customer's balance, which the next invoice uses up.
        """
        with wrapped():
            body = self._v1.invoices.retrieve(invoice_id)
            values: dict[str, Any] = {"invoice": invoice_id, "amount": amount, "memo": memo}
            if reason:
                values["reason"] = reason
            if body.status == "paid":
                values["refund_amount" if refund else "credit_amount"] = amount
            return answers.credit_note(self._write(self._v1.credit_notes.create, values, key))

    def credit_notes(self, customer_id: str) -> list[StripeCreditNote]:
        """Return a customer's credit notes, newest first."""
        with wrapped():
            found = self._v1.credit_notes.list({"customer": customer_id, "limit": 100})
            return [answers.credit_note(body) for body in found.auto_paging_iter()]
