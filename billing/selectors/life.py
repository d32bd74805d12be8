"""Where a factory's subscription stands: what it has, what comes next, what can be done."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from billing import dunning, plans
from billing.models import (
    BillingAccount,
    BookedAddOn,
    Invoice,
    PlanTerm,
    Subscription,
    YearlyMachines,
)
from billing.plans import EXTRA_ITEMS, Item, Plan
from billing.selectors.accounts import account_of
from tenants.models import Factory

Standing = BillingAccount.Standing

_STEP_WORDS = {
    Standing.PAST_DUE: "Everything works; a payment or a plan is asked for.",
    Standing.READ_ONLY: "Devices go on sending and nothing is lost; nothing can be changed.",
    Standing.SUSPENDED: "Readings are refused; all data can be taken along.",
    Standing.DELETED: "The data are deleted, and a record of that is written.",
}


@dataclass(frozen=True, slots=True)
class LifeStep:
    """A step that an account goes through if nothing happens, from a moment on."""

    standing: str
    label: str
    starts_at: datetime
    words: str
    is_reached: bool


@dataclass(frozen=True, slots=True)
class YearlyView:
    """Machines by the year. Money in minor units, a machine and year."""

    n_machines: int
    plan: Plan
    price_minor: int
    is_paid: bool  # False: the payment is on its way
    period_end: datetime | None
    renews: bool
    renewal_machines: int | None  # fewer, from the renewal on
    wanted_machines: int | None  # more, whose payment is on its way


@dataclass(frozen=True, slots=True)
class AddOnView:
    """An add-on that the plan can have, or has."""

    key: str
    name: str
    summary: str
    price_minor: int  # a month
    is_booked: bool
    since: datetime | None


@dataclass(frozen=True, slots=True)
class DiscountView:
    code: str
    percent_off: int
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class LifeView:
    """The state of a factory's subscription at a moment. Money in minor units of `currency`."""

    plan: Plan
    includes: tuple[str, ...]
    currency: str
    status: str  # of the subscription, as Stripe says it; "" on Start
    started_at: datetime | None
    trial_end: datetime | None  # while the trial lasts
    next_plan: Plan | None
    next_plan_at: datetime | None
    ends_at: datetime | None
    closes_factory: bool  # at `ends_at`
    has_card: bool
    standing: str
    cause: str
    since: datetime | None
    until: datetime | None  # when the next step comes
    steps: tuple[LifeStep, ...]
    yearly: YearlyView | None
    add_ons: tuple[AddOnView, ...]
    discount: DiscountView | None
    n_open_invoices: int
    open_minor: int
    next_attempt_at: datetime | None  # at the latest open invoice
    needs_address: bool
    details_error: str
    can_start_trial: bool
    can_cancel: bool
    can_reactivate: bool
    can_pay_now: bool
    can_buy_yearly: bool
    can_redeem: bool
    can_choose_currency: bool


def life_view(factory: Factory, at: datetime) -> LifeView:
    """Return where a factory's subscription stands, as it is known here: Stripe is not asked."""
    account = account_of(factory) or BillingAccount(currency=plans.currency_for(factory.currency))
    is_new = account.factory_id is None
    live = None if is_new else Subscription.objects.filter(account=account, ended_at=None).first()
    plan = plans.plan(live.plan, live.version) if live else plans.START
    in_trial = live is not None and live.trial_end is not None and at < live.trial_end
    next_plan, next_plan_at = _next_plan(account, live)
    steps = _steps(account, live, at=at)
    yearly = None if is_new else _yearly(account, live)
    discount = _discount(live, at=at)
    n_open, open_minor, next_attempt_at = (0, 0, None) if is_new else _open(account)
    is_ending = live is not None and live.ends_at is not None
    return LifeView(
        plan=plan,
        includes=includes(plan),
        currency=account.currency,
        status=live.status if live else "",
        started_at=live.started_at if live else None,
        trial_end=live.trial_end if live and in_trial else None,
        next_plan=next_plan,
        next_plan_at=next_plan_at,
        ends_at=live.ends_at if live else None,
        closes_factory=live is not None and live.closes_factory,
        has_card=live is not None and live.has_card,
        standing=account.standing,
        cause=account.cause,
        since=account.overdue_since,
        until=next((step.starts_at for step in steps if not step.is_reached), None),
        steps=steps,
        yearly=yearly,
        add_ons=() if is_new else _add_ons(account, plan),
        discount=discount,
        n_open_invoices=n_open,
        open_minor=open_minor,
        next_attempt_at=next_attempt_at,
        needs_address=plan.is_paid and not (account.line1 and account.country),
        details_error=account.details_error,
        can_start_trial=live is None and account.trial_used_at is None,
        can_cancel=live is not None and not is_ending,
        can_reactivate=live is not None and (is_ending or bool(live.next_plan)),
        can_pay_now=open_minor > 0,
        can_buy_yearly=bool(plan.yearly_prices) and not in_trial and not is_ending
        and (yearly is None or yearly.is_paid),
        can_redeem=live is not None and discount is None,
        can_choose_currency=is_new or not currency_is_fixed(account),
    )  # fmt: skip


def includes(plan: Plan) -> tuple[str, ...]:
    """Return in words how much a month of a plan includes, or allows where it is free."""
    found = []
    if plan.included_readings:
        found.append(f"{plan.included_readings:,} readings a machine")
    for item in EXTRA_ITEMS:
        if item in plan.included and item in plan.extras:
            unit = plan.extras[item].unit
            plural = unit if item is Item.ARCHIVE_MB else f"{unit}s"
            found.append(f"{plan.included[item]:,} {plural} ({plan.extras[item].label.lower()})")
    limits = [
        (plan.max_machines, "machines"),
        (plan.max_people, "people"),
        (plan.history_days, "days of history"),
        (plan.images_per_month, "images"),
        (plan.planning_minutes_per_month, "planning minutes"),
        (plan.trainings_per_month, "trainings"),
    ]
    found += [f"up to {n:,} {what}" for n, what in limits if n is not None]
    return tuple(found)


def _next_plan(
    account: BillingAccount, live: Subscription | None
) -> tuple[Plan | None, datetime | None]:
    """Return the plan that was chosen for later, and from when on it holds."""
    if live is None or not live.next_plan:
        return None, None
    if live.next_plan == plans.START.key:
        return plans.START, live.ends_at
    term = PlanTerm.objects.filter(account=account, plan=live.next_plan).latest("starts_at")
    return plans.plan(term.plan, term.version), term.starts_at


def _steps(
    account: BillingAccount, live: Subscription | None, *, at: datetime
) -> tuple[LifeStep, ...]:
    """Return the steps of what is wrong, or of a cancellation that is to come."""
    cause, since = account.cause, account.overdue_since
    if not cause and live is not None and live.closes_factory:
        cause, since = BillingAccount.Cause.CANCELLED, live.ends_at
    if not cause or since is None:
        return ()
    starts, steps = since, []
    for standing, until in dunning.schedule(cause, since):
        steps.append((standing, starts))
        starts = until
    steps.append((Standing.DELETED, starts))
    return tuple(
        LifeStep(standing, standing.label, starts_at, _STEP_WORDS[standing], starts_at <= at)
        for standing, starts_at in steps
    )


def _yearly(account: BillingAccount, live: Subscription | None) -> YearlyView | None:
    row = YearlyMachines.objects.filter(account=account, ended_at=None).first()
    if row is None:
        return None
    plan = plans.plan(row.plan, row.version)
    ends_first = live is None or (
        live.ends_at is not None and row.period_end is not None and live.ends_at <= row.period_end
    )
    return YearlyView(
        n_machines=row.n_machines,
        plan=plan,
        price_minor=plan.yearly_prices[account.currency],
        is_paid=bool(row.stripe_id),
        period_end=row.period_end,
        renews=row.renews and not ends_first,
        renewal_machines=row.renewal_machines,
        wanted_machines=row.wanted_machines,
    )


def _add_ons(account: BillingAccount, plan: Plan) -> tuple[AddOnView, ...]:
    booked = {row.key: row for row in BookedAddOn.objects.filter(account=account, ended_at=None)}
    found = []
    for add_on in plans.BOOK.add_ons:
        row = booked.get(add_on.key)
        if row is None and plan.key not in add_on.plans:
            continue
        prices = add_on.prices if row is None else _prices_of(row)
        found.append(
            AddOnView(
                add_on.key, add_on.name, add_on.summary, prices[account.currency],
                is_booked=row is not None, since=row.starts_at if row else None,
            )
        )  # fmt: skip
    return tuple(found)


def _prices_of(row: BookedAddOn) -> dict[str, int]:
    return next(dict(a.prices) for a in plans.BOOKS[row.version].add_ons if a.key == row.key)


def _discount(live: Subscription | None, *, at: datetime) -> DiscountView | None:
    if live is None or live.percent_off is None:
        return None
    if live.discount_ends_at is not None and live.discount_ends_at <= at:
        return None
    return DiscountView(live.promotion_code, live.percent_off, live.discount_ends_at)


def _open(account: BillingAccount) -> tuple[int, int, datetime | None]:
    rows = Invoice.objects.filter(account=account, status="open", due_minor__gt=0)
    last = rows.order_by("-created_at", "-pk").first()
    total = rows.aggregate(total=Sum("due_minor"))["total"] or 0
    return rows.count(), total, last.next_attempt_at if last else None


def currency_is_fixed(account: BillingAccount) -> bool:
    """Say whether something was, or is about to be, charged in the account's currency."""
    return (
        Subscription.objects.filter(account=account).exists()
        or YearlyMachines.objects.filter(account=account).exists()
        or Invoice.objects.filter(account=account).exists()
    )
