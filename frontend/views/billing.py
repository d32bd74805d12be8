"""Usage and the bill of this month, and what comes in meanwhile."""

from datetime import datetime, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from billing import selectors as billing_selectors
from billing.selectors import UsageSummary
from frontend import bill, bill_limits, heat_map
from frontend.formats import money
from frontend.pages import may, page
from production import selectors as production_selectors
from telemetry import selectors as telemetry_selectors
from tenants.requests import PortalRequest
from tenants.standing import works_suspended

_HOUR = timedelta(hours=1)


@works_suspended
@require_GET
@page("billing.view")
def usage(request: PortalRequest) -> HttpResponse:
    now = timezone.now()
    summary = billing_selectors.usage_summary(request.factory, now)
    hours = telemetry_selectors.usage_by_hour(start=now - timedelta(days=heat_map.DAYS), end=now)
    budget = billing_selectors.budget_view(request.factory, now, summary=summary)
    found = bill.usage_page(
        summary,
        hours=hours,
        coming=_coming(summary.counted_to, now),
        now=now,
        budget_minor=budget.amount_minor,
    )
    context = {
        "usage": found,
        "budget": bill_limits.budget_card(budget, currency=summary.currency),
        "may_manage": may(request, "billing.manage"),
        **_caps(request, summary, now),
    }
    return render(request, "frontend/usage.html", context)


def _caps(request: PortalRequest, summary: UsageSummary, now: datetime) -> dict[str, object]:
    """Return where the meters stop; on a free plan there is nothing to stop."""
    if not summary.plan.is_paid:
        return {"caps": [], "buy_back": None}
    views = billing_selectors.cap_views(request.factory, now)
    prices = {
        extra.item: f"{money(extra.prices[summary.currency], summary.currency)} per"
        f" {extra.per_label}."
        for extra in summary.plan.extras.values()
    }
    return {
        "caps": bill_limits.cap_cards(views, prices=prices, now=now),
        "buy_back": bill_limits.buy_back_of(views, currency=summary.currency, now=now),
    }


@works_suspended
@require_GET
@page("billing.view")
def usage_live(request: PortalRequest) -> HttpResponse:
    """Show what came since the last counted hour; asked for when the live stream was heard."""
    now = timezone.now()
    coming = _coming(billing_selectors.counted_to(request.factory), now)
    return render(request, "frontend/billing/coming.html", {"coming": coming})


def _coming(counted_to: datetime | None, now: datetime) -> bill.Coming:
    since = counted_to or now.replace(minute=0, second=0, microsecond=0)
    hours = telemetry_selectors.usage_by_hour(start=since, end=now + _HOUR)
    ids = {row.machine_id for row in hours if row.machine_id}
    machines = production_selectors.machines(include_retired=True).filter(pk__in=ids)
    names = dict(machines.values_list("pk", "name"))
    return bill.coming_in(hours, names=names, since=since, now=now)
