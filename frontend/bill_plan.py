"""The pages on which a plan is chosen: what each gives and costs, and what a change would do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from billing import dunning, periods, plans
from billing.models import BillingAccount, Subscription
from billing.periods import next_full_hour, next_month
from billing.plans import Item, Plan
from billing.selectors import Excess
from billing.services import ChangePreview
from frontend.bill import date_words, quantity
from frontend.formats import amount, clock, money

_CARRIED_WORDS = {
    Item.READINGS: "readings",
    Item.IMAGES: "images",
    Item.PLANNING_MINUTES: "planning minutes",
    Item.ARCHIVE_MB: "of archive",
}
_EXCESS_PAGES = {"machines": "frontend:machines", "people": "frontend:people"}


@dataclass(frozen=True)
class PlanCard:
    key: str
    name: str
    summary: str
    price: str
    per: str
    yearly: str
    points: tuple[str, ...]
    is_current: bool
    is_next: bool
    offers_trial: bool
    verb: str


@dataclass(frozen=True)
class PlanPage:
    """Where the subscription stands, and what can be chosen."""

    current: str
    words: tuple[str, ...]
    cards: tuple[PlanCard, ...]
    extras: tuple[tuple[str, str], ...]
    can_cancel: bool
    can_keep: bool
    keep_words: str


@dataclass(frozen=True)
class ExcessRow:
    words: str
    page: str


@dataclass(frozen=True)
class PreviewPage:
    """What choosing a plan would do, before it is done."""

    key: str
    name: str
    heading: str
    starts: str
    is_trial: bool
    stamp: str  # of what was shown: a confirmation of something else is asked again
    steps: tuple[str, ...]
    charge: str
    charge_words: str
    month_before: str
    month_after: str
    month_with_code: str  # of the first whole month; empty without a code
    code_words: str
    machines_words: str
    carried: tuple[str, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    excess: tuple[ExcessRow, ...]
    button: str


@dataclass(frozen=True)
class CancelPage:
    """What happens when, once the subscription is cancelled."""

    name: str
    ends: str
    deleted: str
    steps: tuple[tuple[str, str], ...]
    start_fits: bool
    excess: tuple[ExcessRow, ...]


def plan_page(
    *, account: BillingAccount, subscription: Subscription | None, now: datetime
) -> PlanPage:
    current = plans.plan(subscription.plan, subscription.version) if subscription else plans.START
    next_key = subscription.next_plan if subscription else ""
    may_try = subscription is None and account.trial_used_at is None
    return PlanPage(
        current=current.name,
        words=_standing_words(subscription, now),
        cards=tuple(
            _card(
                plan,
                currency=account.currency,
                current=current,
                next_key=next_key,
                may_try=may_try and plan.is_paid,
            )
            for plan in plans.ALL
        ),
        extras=tuple(
            (extra.label, f"{money(extra.prices[account.currency], account.currency)}"
             f" per {extra.per_label}")
            for extra in plans.EXTRAS
        ),
        can_cancel=subscription is not None and subscription.ends_at is None,
        can_keep=bool(subscription and (subscription.ends_at or subscription.next_plan)),
        keep_words=f"Keep {current.name}",
    )  # fmt: skip


def _standing_words(subscription: Subscription | None, now: datetime) -> tuple[str, ...]:
    if subscription is None:
        return ("It costs nothing and has no end.",)
    words = []
    if subscription.trial_end is not None and now < subscription.trial_end:
        ends = date_words(subscription.trial_end)
        then = (
            "From then on your card is charged by the month."
            if subscription.has_card
            else "Leave a card before then to go on; without one nothing is charged and it ends."
        )
        words.append(f"Free trial until {ends}. {then}")
    if subscription.ends_at is not None:
        after = "closed" if subscription.closes_factory else f"on {plans.START.name}"
        words.append(f"It ends on {date_words(subscription.ends_at)}; then it is {after}.")
    elif subscription.next_plan:
        chosen = plans.plan(subscription.next_plan)
        words.append(f"From {date_words(next_month(now))} on: {chosen.name}.")
    if subscription.percent_off:
        until = subscription.discount_ends_at
        end = f" until {date_words(until)}" if until else ""
        words.append(f"Discount of {subscription.percent_off} %{end}.")
    return tuple(words) or ("It is paid by the month, for what was used.",)


def _card(plan: Plan, *, currency: str, current: Plan, next_key: str, may_try: bool) -> PlanCard:
    price, yearly = plan.machine_prices[currency], plan.yearly_prices.get(currency)
    is_larger = price > current.machine_prices[currency]
    return PlanCard(
        key=plan.key,
        name=plan.name,
        summary=plan.summary,
        price=money(price, currency, whole=price % 100 == 0),
        per="per active machine and month" if plan.is_paid else "",
        yearly=f"or {money(yearly, currency, whole=yearly % 100 == 0)} a machine for a year, paid"
        " in advance"
        if yearly
        else "",
        points=included(plan),
        is_current=plan.key == current.key,
        is_next=plan.key == next_key,
        offers_trial=may_try,
        verb=f"Try {plan.trial_days} days free"
        if may_try
        else f"{'Change up' if is_larger else 'Change down'} to {plan.name}",
    )


def included(plan: Plan) -> tuple[str, ...]:
    """Say what a plan gives, from the limits that are in force."""
    n_machines, n_people = plan.max_machines, plan.max_people
    points = [
        f"{n_machines} machines" if n_machines else "As many machines as you have",
        f"{n_people} people" if n_people else "Everyone in the factory, no seats",
        f"{plan.history_days} days of history"
        if plan.history_days
        else "Readings kept without an end date",
    ]
    if plan.included_readings:
        points.append(f"{amount(plan.included_readings)} readings a machine and month")
    points += [
        f"{quantity(f'{item}', n)} {_CARRIED_WORDS[item]} a month"
        for item, n in plan.included.items()
    ]
    if plan.is_paid and plan.trainings_per_month is None:
        points.append("As many models trained as you like")
    for n, words in (
        (plan.images_per_month, "images a month"),
        (plan.planning_minutes_per_month, "planning minutes a month"),
        (plan.trainings_per_month, "models trained a month"),
    ):
        if n is not None:
            points.append(f"{n:,} {words}")
    return tuple(points)


def preview_page(
    preview: ChangePreview, *, account: BillingAccount, trial: bool, now: datetime
) -> PreviewPage:
    plan, currency = preview.plan, account.currency
    is_first = not preview.current.is_paid and not preview.in_trial
    before, after = set(included(preview.current)), set(included(plan))
    return PreviewPage(
        key=plan.key,
        name=plan.name,
        heading=f"{plan.name} instead of {preview.current.name}",
        starts="At once" if preview.is_at_once else f"From {date_words(preview.starts_at)} on",
        is_trial=trial,
        stamp=_stamp(preview),
        steps=_steps(preview, trial=trial, is_first=is_first, now=now),
        charge=money(preview.amount_minor, currency),
        charge_words=_charge_words(preview, currency) if preview.amount_minor else "",
        month_before=money(preview.month_before_minor, currency),
        month_after=money(preview.month_after_minor, currency),
        month_with_code=money(preview.month_after_minor - preview.month_off_minor, currency)
        if preview.month_off_minor
        else "",
        code_words=_code_words(preview, trial=trial, now=now),
        machines_words=_machines_words(preview, currency),
        carried=tuple(
            f"{quantity(f'{item}', n)} {_CARRIED_WORDS[Item(item)]}"
            for item, n in preview.carried.items()
            if n and item in _CARRIED_WORDS
        ),
        gained=tuple(p for p in included(plan) if p not in before),
        lost=tuple(p for p in included(preview.current) if p not in after),
        excess=excess_rows(preview.excess),
        button=f"Start the trial of {plan.name}" if trial else f"Change to {plan.name}",
    )


def _stamp(preview: ChangePreview) -> str:
    """Return what names the figures that were shown; empty where none is charged or taken off."""
    offer = preview.offer
    if offer is not None:
        return f"{offer.code}:{offer.percent_off}"
    if not preview.amount_minor:
        return ""
    return f"{preview.amount_minor}:{preview.starts_at:%Y%m%d%H}"


def _code_words(preview: ChangePreview, *, trial: bool, now: datetime) -> str:
    """Say what a code takes off, and off which invoices."""
    offer = preview.offer
    if offer is None:
        return ""
    begins = periods.trial_end(now, days=preview.plan.trial_days) if trial else now
    if not offer.holds_at(next_month(begins)) and offer.ends_at is not None:
        return (
            f"{offer.code} would be over on {date_words(offer.ends_at)}, before the first invoice:"
            " it takes nothing off."
        )
    if offer.is_once:
        return f"{offer.code} takes {offer.percent_off} % off the first invoice."
    until = f" made before {date_words(offer.ends_at)}" if offer.ends_at else ""
    return f"{offer.code} takes {offer.percent_off} % off all invoices{until}."


def _steps(
    preview: ChangePreview, *, trial: bool, is_first: bool, now: datetime
) -> tuple[str, ...]:
    """Say in order what happens when."""
    plan = preview.plan
    if trial:
        ends = date_words(periods.trial_end(now, days=plan.trial_days))
        return (
            f"{plan.name} holds at once, with all it gives. No card is asked for.",
            f"It is free until {ends}: {plan.trial_days} days, and what is left of that month.",
            f"Leave a card before {ends} to go on. Without one it ends then and nothing is"
            " charged.",
        )
    if preview.in_trial:
        return (f"{plan.name} holds at once; the trial goes on and stays free.",)
    first_invoice = date_words(next_month(now))
    if is_first:
        return (
            f"{plan.name} holds at once.",
            f"Machines that send a reading from {clock(next_full_hour(now))} on count for this"
            " month; what was used before is free.",
            f"The first invoice is made on {first_invoice}, for what was used until then.",
        )
    if preview.is_at_once:
        return (
            f"{plan.name} holds from {clock(preview.starts_at)} on.",
            "What was used before is charged at the old prices.",
            f"Everything is on the invoice of {first_invoice}. Nothing is taken from the card now.",
        )
    starts = date_words(preview.starts_at)
    return (
        f"Until {starts} nothing changes, and this month is charged as before.",
        f"From {starts} on {plan.name} holds.",
        "Until then you can take it back.",
    )


def _charge_words(preview: ChangePreview, currency: str) -> str:
    n = preview.n_machines
    machines = f"{n} machine{'' if n == 1 else 's'}"
    old, new = (p.machine_prices[currency] for p in (preview.current, preview.plan))
    return (
        f"{machines} that sent readings this month, {money(new - old, currency)} more each, for"
        " the share of the month that is left"
    )


def _machines_words(preview: ChangePreview, currency: str) -> str:
    price = preview.plan.machine_prices[currency] or preview.current.machine_prices[currency]
    n = (preview.month_after_minor or preview.month_before_minor) // price if price else 0
    return (
        f"A whole month of the {n} machine{'' if n == 1 else 's'} that sent readings in the last"
        " 28 days, without what goes beyond the included"
    )


def excess_rows(found: Iterable[Excess]) -> tuple[ExcessRow, ...]:
    return tuple(ExcessRow(e.words, _EXCESS_PAGES.get(e.what, "")) for e in found)


def cancel_page(
    *, subscription: Subscription, excess: Sequence[Excess], now: datetime
) -> CancelPage:
    plan = plans.plan(subscription.plan, subscription.version)
    ends_at = next_month(now)
    if subscription.trial_end is not None and now < subscription.trial_end:
        ends_at = subscription.trial_end
    deleted_at = ends_at + dunning.EXPORT_WINDOW
    invoice = (
        "The trial ends. Nothing is charged."
        if ends_at == subscription.trial_end
        else "The last invoice is made, for what was used until then."
    )
    return CancelPage(
        name=plan.name,
        ends=date_words(ends_at),
        deleted=date_words(deleted_at),
        steps=(
            (f"Until {date_words(ends_at)}", "Everything works. You can take it back any time."),
            (date_words(ends_at), f"{invoice} Devices are refused and the portal is closed."),
            (
                f"Until {date_words(deleted_at)}",
                "You can take all data along. Any paid plan opens everything again.",
            ),
            (
                date_words(deleted_at),
                "All data are deleted. You get a written record; invoices are kept as the law"
                " asks.",
            ),
        ),
        start_fits=not excess,
        excess=excess_rows(excess),
    )
