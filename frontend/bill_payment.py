"""The pages of cards and of what stands on invoices."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import forms

from billing import plans
from billing.answers import StripeCard
from billing.models import BillingAccount, Invoice
from billing.services.details import TAX_ID_FORMS, Details
from frontend.bill import date_words
from frontend.formats import money

_BRANDS = {"amex": "American Express", "visa": "Visa", "mastercard": "Mastercard"}
_TAX_IDS = {
    "eu_vat": "EU VAT number",
    "gb_vat": "UK VAT number",
    "ch_vat": "Swiss VAT number",
    "us_ein": "US EIN",
    "pl_nip": "Polish NIP",
}


@dataclass(frozen=True)
class CardRow:
    id: str
    words: str
    expires: str
    is_default: bool


@dataclass(frozen=True)
class OpenRow:
    id: int
    number: str
    amount: str
    words: str


def card_rows(found: Iterable[StripeCard]) -> list[CardRow]:
    return [
        CardRow(card.id, card_words(card), f"{card.exp_month:02}/{card.exp_year}", card.is_default)
        for card in found
    ]


def card_words(card: StripeCard) -> str:
    return f"{_BRANDS.get(card.brand, card.brand.capitalize())} ending {card.last4}"


def open_rows(found: Iterable[Invoice]) -> list[OpenRow]:
    return [
        OpenRow(
            id=invoice.pk,
            number=invoice.number or "Draft",
            amount=money(invoice.due_minor - invoice.paid_minor, invoice.currency),
            words=f"Tried again on {date_words(invoice.next_attempt_at)}"
            if invoice.next_attempt_at
            else "",
        )
        for invoice in found
    ]


def _text(label: str, *, most: int, needed: bool = True, **attributes: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=needed,
        widget=forms.TextInput({"class": "form-control", **attributes}),
    )


class DetailsForm(forms.Form):
    """What is to stand on invoices."""

    legal_name = _text("Name of the company", most=120, autocomplete="organization")
    email = forms.EmailField(
        label="E-mail for invoices",
        widget=forms.EmailInput({"class": "form-control", "autocomplete": "email"}),
    )
    line1 = _text("Street and number", most=120, autocomplete="address-line1")
    line2 = _text("Addition (optional)", most=120, needed=False, autocomplete="address-line2")
    postal_code = _text("Postal code", most=20, autocomplete="postal-code")
    city = _text("City", most=80, autocomplete="address-level2")
    country = forms.RegexField(
        r"^[A-Za-z]{2}$",
        label="Country",
        help_text="Its two letters, such as DE, FR or GB.",
        error_messages={"invalid": "Two letters, such as DE."},
        widget=forms.TextInput(
            {"class": "form-control", "autocomplete": "country", "maxlength": "2"}
        ),
    )
    tax_id_type = forms.ChoiceField(
        label="Kind of tax id (optional)",
        required=False,
        choices=[("", "None"), *((kind, _TAX_IDS[kind]) for kind in TAX_ID_FORMS)],
        widget=forms.Select({"class": "form-select"}),
    )
    tax_id = _text("Tax id", most=40, needed=False, autocomplete="off")
    currency = forms.ChoiceField(
        label="Currency",
        choices=[(code, code) for code in plans.BOOK.currencies],
        help_text="It can be chosen until the first subscription.",
        widget=forms.Select({"class": "form-select"}),
    )

    def __init__(self, data: Any, *, account: BillingAccount, is_fixed: bool) -> None:
        initial = {name: getattr(account, name) for name in Details.__dataclass_fields__}
        super().__init__(data, initial=initial)
        if is_fixed:
            field = self.fields["currency"]
            field.disabled = True
            field.help_text = "It is fixed since the first subscription."

    def details(self) -> Details:
        return Details(**self.cleaned_data)
