"""Details: decided here, checked, told to Stripe, on the invoices from then on."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from billing import services
from billing.models import BillingAccount, PlanTerm, Subscription
from billing.services import details, telling
from tenants.models import AuditEntry, Job
from tests.billing.test_chain import away

GIVEN = details.Details(
    legal_name="Acme Precision GmbH", email="bills@acme.example", line1="Werkstr. 1", line2="",
    postal_code="70173", city="Stuttgart", country="DE", tax_id_type="eu_vat",
    tax_id="de 123 456 789", currency="EUR",
)  # fmt: skip


def write(acme, given=GIVEN, at=None):
    return details.write_details(factory=acme, details=given, by=None, at=at or timezone.now())


def tell(acme):
    telling.tell_rest(account_id=str(services.account_for(acme).pk), at=timezone.now())
    return services.account_for(acme)


@pytest.fixture
def customer(acme, stripe):
    """acme with a customer at Stripe."""
    services.use_card(factory=acme, payment_method="pm_card_visa")
    return services.account_for(acme)


def at_stripe(stripe, account):
    return stripe._v1.customers.retrieve(account.stripe_customer_id)


def test_what_was_written_reaches_stripe(acme, customer, stripe):
    write(acme)
    assert Job.objects.filter(task="billing.tell_change", state="queued").exists()

    account = tell(acme)

    there = at_stripe(stripe, account)
    assert (there.name, there.email) == ("Acme Precision GmbH", "bills@acme.example")
    assert (there.address.city, there.address.country) == ("Stuttgart", "DE")
    (tax_id,) = stripe.tax_ids(account.stripe_customer_id)
    assert (tax_id.type, tax_id.value) == ("eu_vat", "DE123456789")
    assert account.details_told_at == account.details_changed_at


def test_a_customer_made_later_gets_what_was_written_before(acme, stripe):
    write(acme)
    started = services.start_subscription(factory=acme, plan="workshop", by=None)
    services.open_subscription(subscription_id=str(started.pk))

    account = tell(acme)

    assert at_stripe(stripe, account).address.line1 == "Werkstr. 1"


def test_another_tax_id_takes_the_place_of_the_first(acme, customer, stripe):
    write(acme)
    tell(acme)
    write(acme, replace(GIVEN, tax_id_type="ch_vat", tax_id="CHE-123.456.789 MWST"))
    account = tell(acme)

    (tax_id,) = stripe.tax_ids(account.stripe_customer_id)
    assert tax_id.type == "ch_vat"

    write(acme, replace(GIVEN, tax_id_type="ch_vat", tax_id=""))
    account = tell(acme)
    assert stripe.tax_ids(account.stripe_customer_id) == []
    assert account.tax_id_type == ""


def test_telling_twice_says_it_once(acme, customer, wire):
    write(acme)
    tell(acme)
    posts = []
    wire.before = lambda method, path: posts.append(path) if method == "POST" else None

    tell(acme)

    assert posts == []


def test_stripe_away_keeps_nothing_from_being_written(acme, customer, wire, stripe):
    wire.before = away
    write(acme)
    assert services.account_for(acme).legal_name == "Acme Precision GmbH"

    wire.before = lambda _method, _path: None
    account = tell(acme)

    assert at_stripe(stripe, account).name == "Acme Precision GmbH"


def test_a_tax_id_that_only_stripe_refuses_is_shown_with_its_words(acme, customer, stripe):
    write(acme)
    BillingAccount.objects.filter(pk=customer.pk).update(tax_id="DE12")

    account = tell(acme)

    assert "eu_vat" in account.details_error
    assert account.details_told_at is not None
    assert at_stripe(stripe, account).name == "Acme Precision GmbH"
    write(acme)
    assert tell(acme).details_error == ""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("eu_vat", "DE12345678"), ("eu_vat", "XX123456789"), ("gb_vat", "GB12"),
        ("us_ein", "123456789"), ("pl_nip", "12"), ("", "DE123456789"), ("eu_vatt", "DE123456789"),
    ],
)  # fmt: skip
def test_a_tax_id_of_a_wrong_form_changes_nothing(acme, kind, value):
    with pytest.raises(details.BadTaxId):
        write(acme, replace(GIVEN, tax_id_type=kind, tax_id=value))

    assert services.account_for(acme).legal_name == ""


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("eu_vat", "ATU12345678"), ("eu_vat", "NL123456789B01"), ("gb_vat", "GB123456789"),
        ("ch_vat", "CHE123456789TVA"), ("us_ein", "12-3456789"), ("pl_nip", "1234567890"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_tax_id_of_its_form_is_kept_and_taken_by_stripe(acme, customer, kind, value):
    write(acme, replace(GIVEN, tax_id_type=kind, tax_id=value))

    account = tell(acme)

    assert (account.tax_id, account.details_error) == (value, "")


def test_the_currency_is_free_until_the_first_subscription(acme, stripe):
    assert write(acme, replace(GIVEN, currency="CHF")).currency == "CHF"
    started = services.start_subscription(factory=acme, plan="workshop", by=None)

    with pytest.raises(details.CurrencyIsFixed, match="stays CHF"):
        write(acme)

    services.open_subscription(subscription_id=str(started.pk))
    account = services.account_for(acme)
    assert at_stripe(stripe, account).currency == "chf"
    assert write(acme, replace(GIVEN, currency="CHF", city="Ulm")).city == "Ulm"


def test_a_subscription_of_the_past_fixes_it_too(acme, stripe):
    services.start_subscription(factory=acme, plan="workshop", by=None)
    Subscription.objects.update(ended_at=timezone.now() + timedelta(days=1))
    assert PlanTerm.objects.exists()

    with pytest.raises(details.CurrencyIsFixed):
        write(acme, replace(GIVEN, currency="USD"))


@pytest.mark.parametrize(
    ("change", "words"), [({"currency": "JPY"}, "no prices"), ({"country": "Germany"}, "code")]
)
def test_what_no_form_offers_is_an_error(acme, change, words):
    with pytest.raises(ValueError, match=words):
        write(acme, replace(GIVEN, **change))


def test_what_changed_is_in_the_audit_log_without_its_values(acme):
    write(acme)
    write(acme, replace(GIVEN, city="Ulm"))

    last = AuditEntry.objects.filter(factory=acme, action="billing.details_changed").latest("id")
    assert last.detail == {"changed": ["city"]}
