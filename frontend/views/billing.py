"""Usage, the bill, the plan and the invoices."""

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from billing import plans
from billing import selectors as billing_selectors
from billing import services as billing_services
from billing.gateways import StripeAway, StripeRefused
from frontend import bill
from frontend.pages import may, page
from telemetry import selectors as telemetry_selectors
from tenants.requests import PortalRequest
from tenants.standing import works_suspended


@works_suspended
@require_GET
@page("billing.view")
def usage(request: PortalRequest) -> HttpResponse:
    now = timezone.now()
    summary = billing_selectors.usage_summary(request.factory, now)
    hours = telemetry_selectors.usage_by_hour(start=now - timedelta(days=bill.HEAT_DAYS), end=now)
    may_manage = may(request, "billing.manage")
    found = bill.usage_page(summary, hours=hours, now=now, may_manage=may_manage)
    return render(request, "frontend/usage.html", {"usage": found})


@works_suspended
@require_GET
@page("billing.view")
def invoices(request: PortalRequest) -> HttpResponse:
    found = bill.invoice_rows(billing_selectors.invoices(request.factory))
    return render(request, "frontend/invoices.html", {"invoices": found})


@works_suspended
@require_POST
@page("billing.manage")
def plan(request: PortalRequest) -> HttpResponse:
    """Put the factory on the plan that was chosen."""
    try:
        chosen = plans.plan(request.POST.get("plan", ""))
    except plans.UnknownPlan:
        raise Http404 from None
    try:
        billing_services.change_plan(factory=request.factory, plan=chosen.key, by=request.user)
    except billing_services.NotSubscribed:
        messages.info(request, f"The factory is on the plan {chosen.name} already.")
    except (StripeAway, StripeRefused):
        messages.error(
            request, "The payment provider does not answer. Nothing was changed; try again later."
        )
    else:
        messages.success(request, f"The plan {chosen.name} is chosen.")
    return redirect("frontend:usage")
