"""Who is billed, at Stripe: name, address, tax ids."""

from http import HTTPStatus
from typing import Any

from billing import answers
from billing.answers import StripeTaxId
from billing.gateways.calls import Calls, StripeRefused, typed, wrapped


class Customers(Calls):
    """Calls on customers."""

    def create_customer(
        self, *, key: str, name: str, email: str, metadata: dict[str, str], test_clock: str = ""
    ) -> str:
        with wrapped():
            values: dict[str, Any] = {"name": name, "metadata": metadata}
            if email:
                values["email"] = email
            if test_clock:
                values["test_clock"] = test_clock
            return self._write(self._v1.customers.create, values, key).id

    def has_customer(self, customer_id: str) -> bool:
        try:
            with wrapped():
                found: Any = self._v1.customers.retrieve(customer_id)
        except StripeRefused as refusal:
            if refusal.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return not getattr(found, "deleted", False)

    def update_customer(
        self,
        *,
        key: str,
        customer_id: str,
        name: str,
        email: str,
        address: dict[str, str] | None,
        locale: str,
    ) -> None:
        """Write who is billed. `address` has Stripe's keys (line1, city, country, ...)."""
        values: dict[str, Any] = {"name": name, "email": email}
        if address is not None:
            values["address"] = address
        if locale:
            values["preferred_locales"] = [locale]
        with wrapped():
            self._v1.customers.update(customer_id, typed(values), {"idempotency_key": key})

    def tax_ids(self, customer_id: str) -> list[StripeTaxId]:
        with wrapped():
            found = self._v1.customers.tax_ids.list(customer_id, {"limit": 100})
            return [answers.tax_id(body) for body in found.data]

    def add_tax_id(self, *, key: str, customer_id: str, type: str, value: str) -> StripeTaxId:
        """Add a tax id of one of Stripe's types (eu_vat, gb_vat, ...).

        Raises:
            StripeRefused: with code `tax_id_invalid` where the form is wrong.
        """
        values = typed({"type": type, "value": value})
        with wrapped():
            body = self._v1.customers.tax_ids.create(customer_id, values, {"idempotency_key": key})
            return answers.tax_id(body)

    def remove_tax_id(self, *, key: str, customer_id: str, tax_id: str) -> None:
        with wrapped():
            self._v1.customers.tax_ids.delete(customer_id, tax_id, None, {"idempotency_key": key})
