"""The plan: choosing one with a look at what it does before, ending it, taking that back."""

from dataclasses import dataclass
from functools import partial

from django.contrib import messages
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from billing import plans
from billing import selectors as billing_selectors
from billing import services as billing_services
from billing.gateways import StripeAway
from billing.services import ChangePreview, discounts
from frontend import bill_extras, bill_plan
from frontend.bill import date_words
from frontend.pages import page
from tenants.requests import PortalRequest
from tenants.standing import works_suspended

MANAGE = "billing.manage"
_MOST_WORDS = 500
_LONGEST_CODE = 40


@works_suspended
@require_http_methods(["GET", "POST"])
@page(MANAGE)
def plan(request: PortalRequest) -> HttpResponse:
    if request.method == "POST":
        return _choose(request)
    now = timezone.now()
    life = billing_selectors.life_view(request.factory, now)
    context = {
        "plan": bill_plan.plan_page(
            account=billing_services.account_for(request.factory),
            subscription=billing_selectors.subscription_of(request.factory),
            now=now,
        ),
        "extras": bill_extras.extras_of(life),
        "life": life,
    }
    return render(request, "frontend/billing/plan.html", context)


@works_suspended
@require_GET
@page(MANAGE)
def preview(request: PortalRequest) -> HttpResponse:
    """Say what choosing a plan would do; nothing is changed."""
    wish = _wish(request, request.GET)
    return _preview(request, wish, status=422 if wish.code_error else 200)


@dataclass(frozen=True)
class _Wish:
    """What is asked for, and what it would do; a code that is not good is left out of it."""

    found: ChangePreview
    trial: bool
    code: str
    code_error: str


def _wish(request: PortalRequest, asked: QueryDict) -> _Wish:
    key, trial = asked.get("plan", ""), asked.get("trial") == "1"
    code = asked.get("code", "").strip()[:_LONGEST_CODE]
    look = partial(billing_services.preview_change, factory=request.factory, plan=key, trial=trial)
    try:
        taken = code if plans.plan(key).is_paid and _is_new(request) else ""
        return _Wish(look(code=taken), trial, taken, "")
    except plans.UnknownPlan:
        raise Http404 from None
    except discounts.UnknownCode as refusal:
        error = f"{refusal} Correct it, or take it out and go on without."
    except StripeAway:
        error = f"{code} cannot be checked now. Try again in a minute, or go on without."
    return _Wish(look(), trial, code, error)


def _preview(request: PortalRequest, wish: _Wish, *, status: int = 200) -> HttpResponse:
    account = billing_services.account_for(request.factory)
    trial = wish.trial and _may_try(request, wish.found)
    shown = bill_plan.preview_page(wish.found, account=account, trial=trial, now=timezone.now())
    context = {
        "preview": shown,
        "code": wish.code,
        "code_error": wish.code_error,
        "takes_code": wish.found.plan.is_paid and _is_new(request),
    }
    return render(request, "frontend/billing/preview.html", context, status=status)


def _is_new(request: PortalRequest) -> bool:
    return billing_selectors.subscription_of(request.factory) is None


def _may_try(request: PortalRequest, found: ChangePreview) -> bool:
    account = billing_services.account_for(request.factory)
    return found.plan.is_paid and account.trial_used_at is None and _is_new(request)


def _choose(request: PortalRequest) -> HttpResponse:
    """Do what the preview showed; where that has changed meanwhile, show it anew."""
    wish = _wish(request, request.POST)
    found, trial = wish.found, wish.trial
    if wish.code_error:
        return _preview(request, wish, status=422)
    if request.POST.get("check"):
        return _preview(request, wish)
    shown = bill_plan.preview_page(
        found,
        account=billing_services.account_for(request.factory),
        trial=trial,
        now=timezone.now(),
    )
    if shown.stamp != request.POST.get("stamp", ""):
        messages.warning(request, "The figures have changed since you looked. Look again.")
        return _preview(request, wish, status=409)
    key = found.plan.key
    try:
        if found.plan.is_paid and _is_new(request):
            discounts.start_with_code(
                factory=request.factory,
                plan=key,
                code=wish.code,
                by=request.user,
                trial=trial,
                at=timezone.now(),
            )
        else:
            billing_services.change_plan(factory=request.factory, plan=key, by=request.user)
    except billing_services.TooMuchInUse as refusal:
        messages.error(request, str(refusal))
        return _preview(request, wish, status=422)
    except (discounts.UnknownCode, StripeAway):
        # It was good a moment ago: look once more.
        return _preview(request, _wish(request, request.POST), status=409)
    except billing_services.NotSubscribed:
        messages.info(request, f"The factory is on the plan {found.plan.name} already.")
    except billing_services.AlreadySubscribed:
        messages.info(request, "Somebody chose a plan a moment ago. Look at it first.")
    except billing_services.TrialUsed:
        messages.error(request, "The trial was used before. Choose the plan without one.")
    else:
        starts = "" if found.is_at_once else f" It holds from {date_words(found.starts_at)} on."
        messages.success(request, f"{found.plan.name} is chosen.{starts}")
    return redirect("frontend:plan")


@works_suspended
@require_http_methods(["GET", "POST"])
@page(MANAGE)
def cancel(request: PortalRequest) -> HttpResponse:
    """Show what happens when, and cancel once that was read."""
    subscription = billing_selectors.subscription_of(request.factory)
    if subscription is None or (subscription.ends_at and subscription.closes_factory):
        messages.info(request, "There is nothing to cancel.")
        return redirect("frontend:plan")
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()[:_MOST_WORDS]
        found = billing_services.cancel_subscription(
            factory=request.factory, by=request.user, reason=reason
        )
        ends = date_words(found.ends_at) if found.ends_at else ""
        messages.success(request, f"Cancelled: it ends on {ends}. You can take it back until then.")
        return redirect("frontend:plan")
    shown = bill_plan.cancel_page(
        subscription=subscription,
        excess=billing_selectors.excess(request.factory, plan=plans.START),
        now=timezone.now(),
    )
    return render(request, "frontend/billing/cancel.html", {"cancel": shown})


@works_suspended
@require_POST
@page(MANAGE)
def keep(request: PortalRequest) -> HttpResponse:
    """Take back an end, or a smaller plan, that was chosen for later."""
    try:
        found = billing_services.reactivate(factory=request.factory, by=request.user)
    except billing_services.NotSubscribed:
        messages.error(request, "It has ended already. Choose a plan anew.")
    else:
        name = plans.plan(found.plan, found.version).name
        messages.success(request, f"{name} goes on as before.")
    return redirect("frontend:plan")
