"""What stands on invoices: name, address, tax id, currency. Decided here, told to Stripe by a job.

The currency is one per customer at Stripe: free until a first subscription, then fixed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

import structlog
from django.db import transaction

from billing import plans
from billing.gateways import StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount
from billing.selectors.life import currency_is_fixed
from billing.services.accounts import account_for, owner_email
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()

# How the members of the Union write their numbers (ec.europa.eu/taxation_customs/vies, "FAQ").
_EU = {
    "AT": r"U\d{8}", "BE": r"[01]\d{9}", "BG": r"\d{9,10}", "CY": r"\d{8}[A-Z]",
    "CZ": r"\d{8,10}", "DE": r"\d{9}", "DK": r"\d{8}", "EE": r"\d{9}", "EL": r"\d{9}",
    "ES": r"[A-Z0-9]\d{7}[A-Z0-9]", "FI": r"\d{8}", "FR": r"[A-HJ-NP-Z0-9]{2}\d{9}",
    "HR": r"\d{11}", "HU": r"\d{8}", "IE": r"\d[A-Z0-9+*]\d{5}[A-Z]{1,2}", "IT": r"\d{11}",
    "LT": r"(\d{9}|\d{12})", "LU": r"\d{8}", "LV": r"\d{11}", "MT": r"\d{8}",
    "NL": r"\d{9}B\d{2}", "PL": r"\d{10}", "PT": r"\d{9}", "RO": r"\d{2,10}",
    "SE": r"\d{12}", "SI": r"\d{8}", "SK": r"\d{10}", "XI": r"\d{9}",
}  # fmt: skip
# By Stripe's names of the kinds (docs.stripe.com/billing/customer/tax-ids).
TAX_ID_FORMS: Mapping[str, str] = {
    "eu_vat": "|".join(f"{country}{rest}" for country, rest in _EU.items()),
    "gb_vat": r"GB(\d{9}|\d{12}|GD\d{3}|HA\d{3})",
    "ch_vat": r"CHE-?\d{3}\.?\d{3}\.?\d{3}(MWST|TVA|IVA)",
    "us_ein": r"\d{2}-\d{7}",
    "pl_nip": r"\d{10}",
}


class BadTaxId(Exception):
    """A tax id does not have the form of its kind."""


class CurrencyIsFixed(Exception):
    """There was a subscription or an invoice in another currency."""

    def __init__(self, currency: str) -> None:
        super().__init__(
            f"The currency stays {currency}: it can be chosen until the first subscription."
        )
        self.currency = currency


@dataclass(frozen=True, slots=True)
class Details:
    """What is written on invoices; `country` is ISO 3166-1 alpha-2."""

    legal_name: str
    email: str
    line1: str
    line2: str
    postal_code: str
    city: str
    country: str
    tax_id_type: str  # of `TAX_ID_FORMS`, or "" for none
    tax_id: str
    currency: str


@transaction.atomic
def write_details(
    *, factory: Factory, details: Details, by: User | None, at: datetime
) -> BillingAccount:
    """Keep what is to stand on invoices from now on; Stripe hears of it after the commit.

    Raises:
        BadTaxId: the tax id does not have the form of its kind; nothing was changed.
        CurrencyIsFixed: it can not be chosen any more; nothing was changed.
        ValueError: there are no prices in this currency, or the country is no code of two letters.
    """
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    if details.currency not in plans.BOOK.currencies:
        raise ValueError(f"there are no prices in {details.currency!r}")
    if not re.fullmatch(r"([A-Z]{2})?", details.country.strip().upper()):
        raise ValueError(f"{details.country!r} is not a country's code")
    if details.currency != account.currency and currency_is_fixed(account):
        raise CurrencyIsFixed(account.currency)
    tax_id = _checked(details.tax_id_type, details.tax_id)
    before = {f.name: getattr(account, f.name) for f in fields(Details)}
    for name in before:
        setattr(account, name, getattr(details, name).strip())
    account.tax_id, account.country = tax_id, details.country.strip().upper()
    if not tax_id:
        account.tax_id_type = ""
    account.details_changed_at, account.details_error = at, ""
    account.save()
    changed = sorted(name for name, value in before.items() if getattr(account, name) != value)
    audit.record(
        action="billing.details_changed", actor=by, detail={"changed": changed}, factory=factory
    )
    jobs.enqueue(
        task="billing.tell_change",
        kwargs={"account_id": str(account.pk)},
        key=f"tell-{account.pk}",
    )
    return account


def _checked(kind: str, value: str) -> str:
    """Return a tax id as it is written on invoices."""
    written = "".join(value.split()).upper()
    if not written:
        return ""
    if kind not in TAX_ID_FORMS:
        raise BadTaxId("Choose which kind of tax id it is.")
    if not re.fullmatch(TAX_ID_FORMS[kind], written):
        raise BadTaxId(f"{written} does not have the form of this kind of tax id.")
    return written


@transaction.atomic
def tell(*, account_id: str, at: datetime) -> bool:
    """Write changed details to the customer at Stripe; say if there was something to write.

    A tax id that Stripe refuses is not on invoices; `details_error` has its words.

    Raises:
        StripeAway, StripeRefused: from the gateway; call again.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    changed, told = account.details_changed_at, account.details_told_at
    customer_id = account.stripe_customer_id
    if changed is None or customer_id is None or (told is not None and told >= changed):
        return False
    stripe = gateway()
    key = f"details-{account.pk.hex}-{changed.timestamp():.6f}"
    stripe.update_customer(
        key=key,
        customer_id=customer_id,
        name=account.legal_name or account.name,
        email=account.email or owner_email(account),
        address=_address(account),
        locale="en",
    )
    account.details_error = _tell_tax_id(account, customer_id, stripe, key=key)
    account.details_told_at = changed
    account.save(update_fields=["details_error", "details_told_at"])
    log.info("billing.details.told", account=str(account.pk))
    return True


def _address(account: BillingAccount) -> dict[str, str] | None:
    if not account.line1:
        return None
    names = ("line1", "line2", "postal_code", "city", "country")
    return {name: getattr(account, name) for name in names}


def _tell_tax_id(
    account: BillingAccount, customer_id: str, stripe: StripeGateway, *, key: str
) -> str:
    """Have the customer bear the account's tax id and no other; return why Stripe refused it."""
    wanted = (account.tax_id_type, account.tax_id)
    is_there = False
    for known in stripe.tax_ids(customer_id):
        if (known.type, known.value) == wanted:
            is_there = True
        else:
            stripe.remove_tax_id(key=f"{key}-{known.id}", customer_id=customer_id, tax_id=known.id)
    if is_there or not account.tax_id:
        return ""
    try:
        stripe.add_tax_id(
            key=f"{key}-add", customer_id=customer_id, type=account.tax_id_type,
            value=account.tax_id,
        )  # fmt: skip
    except StripeRefused as refusal:
        log.warning("billing.tax_id.refused", account=str(account.pk), code=refusal.code)
        return str(refusal)[:300]
    return ""
