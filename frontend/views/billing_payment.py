"""Cards, paying what is open, and what stands on invoices."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing import selectors as billing_selectors
from billing import services as billing_services
from billing.answers import StripeCard
from billing.gateways import StripeAway, StripeRefused
from billing.services import cards, details
from frontend import bill_payment
from frontend.formats import money
from frontend.pages import page
from tenants import entry
from tenants.requests import PortalRequest
from tenants.standing import works_suspended

MANAGE = "billing.manage"
AWAY = "The payment provider does not answer. Nothing was changed; try again in a minute."
_KNOWN = "known_cards"  # in the session, while somebody is at Stripe to leave another


@works_suspended
@require_GET
@page(MANAGE)
def payment(request: PortalRequest) -> HttpResponse:
    account = billing_services.account_for(request.factory)
    found = _cards(request)
    context = {
        "cards": None if found is None else bill_payment.card_rows(found),
        "open": bill_payment.open_rows(cards.open_invoices(account)),
        "life": billing_selectors.life_view(request.factory, timezone.now()),
    }
    return render(request, "frontend/billing/payment.html", context)


def _cards(request: PortalRequest) -> list[StripeCard] | None:
    """Return the cards, None where Stripe does not say."""
    try:
        return cards.cards(request.factory)
    except StripeAway:
        return None


@works_suspended
@require_POST
@page(MANAGE)
def card_new(request: PortalRequest) -> HttpResponse:
    """Send the owner to Stripe's page, where another card is left."""
    factory = request.factory
    try:
        request.session[_KNOWN] = [card.id for card in cards.cards(factory)]
        url = billing_services.card_page(
            factory=factory,
            done_url=entry.portal_url(factory, reverse("frontend:payment-done")),
            back_url=entry.portal_url(factory, reverse("frontend:payment")),
            at=timezone.now(),
        )
    except (StripeAway, StripeRefused):
        messages.error(request, AWAY)
        return redirect("frontend:payment")
    return HttpResponseRedirect(url)


@works_suspended
@require_GET
@page(MANAGE)
def done(request: PortalRequest) -> HttpResponse:
    """Welcome the owner back from Stripe: a card that was left there is used from now on."""
    known = request.session.pop(_KNOWN, None)
    if known is None:
        return redirect("frontend:payment")
    try:
        new = [card for card in cards.cards(request.factory) if card.id not in known]
        if not new:
            messages.info(request, "No card was saved.")
            return redirect("frontend:payment")
        cards.use_as_default(
            factory=request.factory, card_id=new[0].id, by=request.user, at=timezone.now()
        )
        account = billing_services.account_for(request.factory)
        billing_services.sync_account(account_id=str(account.pk))
    except (StripeAway, StripeRefused):
        messages.warning(request, "Your card is saved; the payment provider does not answer now.")
        return redirect("frontend:payment")
    words = bill_payment.card_words(new[0])
    messages.success(request, f"{words} is saved. It pays the invoices to come.")
    return redirect("frontend:payment")


@works_suspended
@require_POST
@page(MANAGE)
def card_default(request: PortalRequest) -> HttpResponse:
    return _with_card(request, cards.use_as_default, "It pays the invoices to come.")


@works_suspended
@require_POST
@page(MANAGE)
def card_forget(request: PortalRequest) -> HttpResponse:
    return _with_card(request, cards.forget_card, "The card is forgotten.")


def _with_card(request: PortalRequest, act: Callable[..., None], words: str) -> HttpResponse:
    card_id = request.POST.get("card", "")
    try:
        act(factory=request.factory, card_id=card_id, by=request.user, at=timezone.now())
    except cards.UnknownCard:
        raise Http404 from None
    except cards.CardNeeded as refusal:
        messages.error(request, str(refusal))
    except (StripeAway, StripeRefused):
        messages.error(request, AWAY)
    else:
        messages.success(request, words)
    return redirect("frontend:payment")


@works_suspended
@require_POST
@page(MANAGE)
def pay(request: PortalRequest) -> HttpResponse:
    """Charge the card for what is open; what a payment opens is open when the page is back."""
    try:
        found = cards.pay_now(factory=request.factory, by=request.user, at=timezone.now())
    except StripeAway:
        messages.error(request, AWAY)
        return redirect("frontend:payment")
    if isinstance(found, cards.Declined):
        paid = f" {found.n_paid} before it {_were(found.n_paid)} paid." if found.n_paid else ""
        messages.error(request, f"The bank declined: {found.words}{paid} Leave another card.")
    elif found.n_invoices:
        sum_words = money(found.amount_minor, found.currency)
        messages.success(request, f"Paid: {sum_words}. Everything is in order again.")
    else:
        messages.info(request, "Nothing is open.")
    return redirect("frontend:payment")


def _were(n: int) -> str:
    return "was" if n == 1 else "were"


@works_suspended
@require_POST
@page(MANAGE)
def portal(request: PortalRequest) -> HttpResponse:
    """Send the owner to Stripe's own pages of cards and invoices."""
    back = entry.portal_url(request.factory, reverse("frontend:payment"))
    try:
        url = billing_services.portal_page(
            factory=request.factory, back_url=back, at=timezone.now()
        )
    except (StripeAway, StripeRefused):
        messages.error(request, AWAY)
        return redirect("frontend:payment")
    return HttpResponseRedirect(url)


@works_suspended
@require_http_methods(["GET", "POST"])
@page(MANAGE)
def billing_details(request: PortalRequest) -> HttpResponse:
    account = billing_services.account_for(request.factory)
    life = billing_selectors.life_view(request.factory, timezone.now())
    form = bill_payment.DetailsForm(
        request.POST or None, account=account, is_fixed=not life.can_choose_currency
    )
    if request.method == "POST" and form.is_valid() and _write(request, form):
        messages.success(request, "Saved. It stands on the invoices to come.")
        return redirect("frontend:billing-details")
    context = {"form": form, "error": account.details_error}
    status = 422 if form.errors else 200
    return render(request, "frontend/billing/details.html", context, status=status)


def _write(request: PortalRequest, form: bill_payment.DetailsForm) -> bool:
    try:
        details.write_details(
            factory=request.factory, details=form.details(), by=request.user, at=timezone.now()
        )
    except details.BadTaxId as error:
        form.add_error("tax_id", str(error))
        return False
    except details.CurrencyIsFixed as error:
        form.add_error("currency", str(error))
        return False
    return True
