"""What the owner sets: a budget, and where a meter stops."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from billing import services as billing_services
from billing.services import budgets
from frontend import bill_limits
from frontend.formats import money
from frontend.pages import page
from tenants.requests import PortalRequest
from tenants.standing import works_read_only

MANAGE = "billing.manage"


@works_read_only
@require_POST
@page(MANAGE)
def budget(request: PortalRequest) -> HttpResponse:
    """Set the budget of a month, or do without one."""
    currency = billing_services.account_for(request.factory).currency
    minor = None
    if not request.POST.get("off"):
        try:
            minor = bill_limits.read_amount(request.POST.get("amount", ""), currency=currency)
        except bill_limits.NotAnAmount as error:
            messages.error(request, str(error))
            return redirect("frontend:usage")
    budgets.set_budget(
        factory=request.factory, amount_minor=minor, by=request.user, at=timezone.now()
    )
    words = "The budget is off." if minor is None else f"The budget is {money(minor, currency)}."
    messages.success(request, words)
    return redirect("frontend:usage")


@works_read_only
@require_POST
@page(MANAGE)
def cap(request: PortalRequest) -> HttpResponse:
    """Say where a meter stops, and what becomes of what comes beyond."""
    item = bill_limits.item_of(request.POST.get("item", ""))
    if item is None:
        raise Http404
    try:
        most = bill_limits.read_units(request.POST.get("max_extra", ""))
        budgets.set_cap(
            factory=request.factory,
            item=item,
            max_extra=most,
            action=request.POST.get("action", ""),
            by=request.user,
            at=timezone.now(),
        )
    except budgets.CapNotOffered:
        raise Http404 from None
    except bill_limits.NotAnAmount as error:
        messages.error(request, str(error))
    except budgets.CapBelowUse as error:
        messages.error(
            request,
            f"{error.least:,} beyond the included are charged already this month. Choose"
            f" {error.least:,} or more.",
        )
    else:
        words = "The cap is lifted." if most is None else f"It stops at {most:,} now."
        messages.success(request, words)
    return redirect("frontend:usage")


@works_read_only
@require_POST
@page(MANAGE)
def buy_back(request: PortalRequest) -> HttpResponse:
    """Have what is held back charged after all, and kept."""
    cost = budgets.buy_back(factory=request.factory, by=request.user, at=timezone.now())
    currency = billing_services.account_for(request.factory).currency
    messages.success(request, f"Bought back for {money(cost, currency)}. It is on this month.")
    return redirect("frontend:usage")
