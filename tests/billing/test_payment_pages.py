"""Cards, details and what is had beside the plan, on the pages and against the stand-in."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import gateways, services
from billing.gateways import StripeAway
from billing.models import BillingAccount, BookedAddOn, Invoice, Subscription, YearlyMachines
from billing.services import cards


def text(answer):
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


@pytest.fixture
def owner(portal, stripe, readings):
    return portal()


@pytest.fixture
def workshop(acme, owner, run_jobs) -> BillingAccount:
    """acme on Workshop, known to Stripe, with a card."""
    with run_jobs(execute=True):
        subscription = services.start_subscription(factory=acme, plan="workshop", by=None)
    services.open_subscription(subscription_id=str(subscription.pk))
    services.use_card(factory=acme, payment_method="pm_card_visa")
    account = services.account_for(acme)
    services.sync_account(account_id=str(account.pk))
    account.refresh_from_db()
    return account


def test_a_card_is_left_at_stripe_and_used_from_then_on(acme, owner, stripe):
    answer = owner.post("/usage/payment/card/")
    assert answer.status_code == 302
    assert "acme" not in answer.headers["Location"]
    customer = services.account_for(acme).stripe_customer_id
    stripe._v1.payment_methods.attach("pm_card_visa", {"customer": customer})

    page = text(owner.get("/usage/payment/done/", follow=True))

    assert "Visa ending 4242 is saved. It pays the invoices to come." in page
    assert [card.is_default for card in cards.cards(acme)] == [True]


def test_coming_back_without_a_card_says_so(owner):
    owner.post("/usage/payment/card/")

    assert "No card was saved." in text(owner.get("/usage/payment/done/", follow=True))


def test_an_address_alone_changes_no_card(acme, owner, workshop):
    before = cards.cards(acme)

    owner.get("/usage/payment/done/")

    assert cards.cards(acme) == before


def test_another_card_is_chosen_and_the_old_one_forgotten(acme, owner, workshop, stripe):
    (old,) = cards.cards(acme)
    stripe._v1.payment_methods.attach(
        "pm_card_mastercard", {"customer": workshop.stripe_customer_id}
    )
    new = next(card for card in cards.cards(acme) if card.id != old.id)

    owner.post("/usage/payment/default/", {"card": new.id})
    page = text(owner.post("/usage/payment/forget/", {"card": old.id}, follow=True))

    assert "The card is forgotten." in page
    assert [(card.id, card.is_default) for card in cards.cards(acme)] == [(new.id, True)]


def test_the_last_card_stays_while_it_pays_the_plan(acme, owner, workshop):
    (card,) = cards.cards(acme)

    page = text(owner.post("/usage/payment/forget/", {"card": card.id}, follow=True))

    assert "add another one before you remove it" in page
    assert cards.cards(acme) == [card]


@pytest.mark.parametrize("path", ["default", "forget"])
def test_another_account_s_card_is_not_there(acme, globex, owner, workshop, path):
    services.use_card(factory=globex, payment_method="pm_card_visa")
    (theirs,) = cards.cards(globex)

    assert owner.post(f"/usage/payment/{path}/", {"card": theirs.id}).status_code == 404
    assert cards.cards(globex) == [theirs]


def test_without_stripe_the_page_says_so_and_works(owner, workshop, monkeypatch):
    def away(_customer):
        raise StripeAway("x")

    monkeypatch.setattr(gateways.gateway(), "payment_methods", away)

    assert "They are still there." in text(owner.get("/usage/payment/"))
    assert "does not answer" in text(owner.post("/usage/payment/card/", follow=True))


def test_paying_says_what_the_bank_said(owner, workshop, monkeypatch):
    at = timezone.now()
    Invoice.objects.create(
        account=workshop, stripe_id="in_x", number="X-1", status="open", currency="EUR",
        total_minor=5, due_minor=5, paid_minor=0, period_start=at, period_end=at, created_at=at,
        synced_at=at,
    )  # fmt: skip
    monkeypatch.setattr(
        cards, "pay_now", lambda **_kwargs: cards.Declined("Your card was declined.", 1)
    )

    assert "Pay now" in text(owner.get("/usage/payment/"))
    page = text(owner.post("/usage/payment/pay/", follow=True))

    assert "The bank declined: Your card was declined. 1 before it was paid." in page


def test_paying_with_nothing_open_says_so(owner, workshop):
    assert "Nothing is open." in text(owner.post("/usage/payment/pay/", follow=True))


DETAILS = {
    "legal_name": "Acme Precision GmbH", "email": "accounts@acme.example", "line1": "Weg 1",
    "line2": "", "postal_code": "10115", "city": "Berlin", "country": "de",
    "tax_id_type": "eu_vat", "tax_id": "DE 123456789", "currency": "EUR",
}  # fmt: skip


def test_details_are_kept_as_they_stand_on_invoices(acme, owner):
    owner.post("/usage/details/", DETAILS)

    account = services.account_for(acme)
    assert (account.legal_name, account.country) == ("Acme Precision GmbH", "DE")
    assert account.tax_id == "DE123456789"
    assert "Acme Precision GmbH" in text(owner.get("/usage/details/"))


def test_a_tax_id_of_another_form_is_sent_back_with_what_was_typed(acme, owner):
    answer = owner.post("/usage/details/", {**DETAILS, "tax_id": "DE12"})

    assert answer.status_code == 422
    assert "DE12 does not have the form" in answer.content.decode()
    assert "Acme Precision GmbH" in answer.content.decode()
    assert services.account_for(acme).legal_name == ""


def test_the_currency_is_chosen_until_the_first_subscription(acme, owner):
    owner.post("/usage/details/", {**DETAILS, "currency": "CHF"})
    assert services.account_for(acme).currency == "CHF"
    services.start_subscription(factory=acme, plan="workshop", by=None)

    owner.post("/usage/details/", {**DETAILS, "currency": "USD"})

    assert services.account_for(acme).currency == "CHF"
    assert "It is fixed since the first subscription." in text(owner.get("/usage/details/"))


def hidden(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def test_machines_by_the_year_cost_what_the_preview_says(acme, owner, workshop):
    page = text(owner.get("/usage/plan/yearly/?machines=2"))
    assert "Pay €580.00" in page
    assert not YearlyMachines.objects.exists()

    owner.post("/usage/plan/yearly/", {"machines": "2", "at": hidden(page, "at")})

    assert YearlyMachines.objects.get().n_machines == 2
    services.sync_account(account_id=str(workshop.pk))
    assert Invoice.objects.get(account=workshop, total_minor=58_000).status == "paid"
    assert "2 machines paid until" in text(owner.get("/usage/plan/"))
    owner.post("/usage/plan/yearly/end/")
    assert "Then they are paid by the month." in text(owner.get("/usage/plan/"))


def test_a_preview_of_an_hour_ago_is_shown_again(owner, workshop):
    old = (timezone.now() - timedelta(hours=1)).isoformat()

    page = text(owner.post("/usage/plan/yearly/", {"machines": "2", "at": old}))

    assert "Look at the figures again." in page
    assert not YearlyMachines.objects.exists()


@pytest.mark.parametrize("n", ["0", "-1", "x", "", "99999999", "²"])
def test_what_is_no_number_of_machines_is_refused(owner, workshop, n):
    page = text(owner.get(f"/usage/plan/yearly/?machines={n}", follow=True))

    assert "Say a number of machines" in page


def test_an_add_on_is_booked_and_dropped_after_a_look(acme, owner, workshop):
    page = text(owner.get("/usage/plan/add-on/?key=fast_answer"))
    assert "Each month in advance" in page
    assert "€49.00" in page
    assert not BookedAddOn.objects.exists()

    owner.post("/usage/plan/add-on/", {"key": "fast_answer", "at": hidden(page, "at")})
    assert BookedAddOn.objects.get().ended_at is None
    page = text(owner.get("/usage/plan/add-on/?key=fast_answer"))
    owner.post("/usage/plan/add-on/", {"key": "fast_answer", "at": hidden(page, "at")})

    assert BookedAddOn.objects.get().ended_at is not None


def test_an_unknown_add_on_is_not_found(owner, workshop):
    assert owner.get("/usage/plan/add-on/?key=gold").status_code == 404


def test_a_code_is_used_once(owner, workshop):
    page = text(owner.post("/usage/plan/code/", {"code": "welcome20"}, follow=True))
    again = text(owner.post("/usage/plan/code/", {"code": "WELCOME20"}, follow=True))

    assert "20 % are taken off the invoices to come." in page
    assert "was used before" in again
    assert Subscription.objects.get().percent_off == 20


def test_an_unknown_code_says_so(owner, workshop):
    page = text(owner.post("/usage/plan/code/", {"code": "GOLD"}, follow=True))

    assert "There is no such code: GOLD." in page


@pytest.mark.parametrize(
    "path",
    [
        "plan/yearly", "plan/yearly/end", "plan/add-on", "plan/code", "payment", "payment/card",
        "payment/default", "payment/forget", "payment/pay", "payment/portal", "details",
    ],
)  # fmt: skip
def test_who_may_not_pay_reaches_none_of_it(portal, path):
    assert portal("engineer").post(f"/usage/{path}/").status_code in (403, 405)
    assert portal("engineer").get(f"/usage/{path}/").status_code in (403, 405)
