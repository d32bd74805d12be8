"""Machines by the year, add-ons and codes: each with what it costs before it is chosen."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST

from billing import selectors as billing_selectors
from billing.gateways import StripeAway, StripeRefused
from billing.selectors.life import LifeView
from billing.services import add_ons, discounts, yearly
from frontend import bill_extras
from frontend.pages import page
from frontend.views.billing_payment import AWAY
from tenants.requests import PortalRequest

MANAGE = "billing.manage"
MOST_MACHINES = 10_000
# A preview is held for so long: Stripe prorates to the second, from the moment it was shown.
HELD_FOR = timedelta(minutes=15)


def _life(request: PortalRequest) -> LifeView:
    return billing_selectors.life_view(request.factory, timezone.now())


def _shown_at(request: PortalRequest) -> datetime | None:
    """Return the moment of the preview that is confirmed; None where it is too old."""
    now = timezone.now()
    at = parse_datetime(request.POST.get("at", ""))
    if at is None or at.tzinfo is None or not now - HELD_FOR <= at <= now:
        return None
    return at


def _preview(request: PortalRequest, shown: bill_extras.ExtraPreview, **more: Any) -> HttpResponse:
    context = {"preview": shown, **more}
    return render(request, "frontend/billing/extra.html", context)


@require_http_methods(["GET", "POST"])
@page(MANAGE)
def machines_by_year(request: PortalRequest) -> HttpResponse:
    text = (request.POST or request.GET).get("machines", "")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_MACHINES:
        messages.error(request, f"Say a number of machines from 1 to {MOST_MACHINES:,}.")
        return redirect("frontend:plan")
    n_machines, life = int(text), _life(request)
    try:
        if request.method == "POST" and (at := _shown_at(request)) is not None:
            yearly.set_yearly(
                factory=request.factory, n_machines=n_machines, by=request.user, at=at
            )
            messages.success(request, f"{n_machines} machines are paid by the year.")
            return redirect("frontend:plan")
        at = timezone.now().replace(microsecond=0)
        found = yearly.preview_yearly(factory=request.factory, n_machines=n_machines, at=at)
    except (yearly.YearlyNotOffered, yearly.NotPaid) as refusal:
        messages.error(request, str(refusal))
        return redirect("frontend:plan")
    except (StripeAway, StripeRefused):
        messages.error(request, AWAY)
        return redirect("frontend:plan")
    if request.method == "POST":
        messages.warning(request, "Some time has passed. Look at the figures again.")
    n_now = life.yearly.n_machines if life.yearly else 0
    shown = bill_extras.yearly_preview(found, currency=life.currency, n_now=n_now)
    return _preview(request, shown, at=at.isoformat(), machines=n_machines)


@require_POST
@page(MANAGE)
def yearly_end(request: PortalRequest) -> HttpResponse:
    """Let the paid year run out."""
    try:
        yearly.end_yearly(factory=request.factory, by=request.user)
    except yearly.YearlyNotOffered as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, "They are not renewed. Change the number to take it back.")
    return redirect("frontend:plan")


@require_http_methods(["GET", "POST"])
@page(MANAGE)
def add_on(request: PortalRequest) -> HttpResponse:
    """Show what booking an add-on (or dropping one) costs, and do it once that was read."""
    key, life = (request.POST or request.GET).get("key", ""), _life(request)
    row = next((row for row in life.add_ons if row.key == key), None)
    if row is None:
        raise Http404
    try:
        if request.method == "POST" and (at := _shown_at(request)) is not None:
            act = add_ons.drop_add_on if row.is_booked else add_ons.book_add_on
            act(factory=request.factory, key=key, by=request.user, at=at)
            done = "dropped" if row.is_booked else "yours"
            messages.success(request, f"{row.name} is {done}.")
            return redirect("frontend:plan")
        at = timezone.now().replace(microsecond=0)
        found = add_ons.preview_add_on(factory=request.factory, key=key, at=at)
    except add_ons.AddOnNotOffered as refusal:
        messages.error(request, str(refusal))
        return redirect("frontend:plan")
    except (StripeAway, StripeRefused):
        messages.error(request, AWAY)
        return redirect("frontend:plan")
    shown = bill_extras.add_on_preview(found, currency=life.currency, is_booked=row.is_booked)
    return _preview(request, shown, at=at.isoformat(), key=key)


@require_POST
@page(MANAGE)
def code(request: PortalRequest) -> HttpResponse:
    """Use a promotion code for the plan that is there."""
    try:
        found = discounts.redeem(
            factory=request.factory,
            code=request.POST.get("code", ""),
            by=request.user,
            at=timezone.now(),
        )
    except discounts.UnknownCode as refusal:
        messages.error(request, str(refusal))
    except StripeAway:
        messages.error(request, AWAY)
    else:
        messages.success(request, f"{found.percent_off} % are taken off the invoices to come.")
    return redirect("frontend:plan")
