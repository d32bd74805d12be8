"""The Stripe side of machines paid by the year: brought to what was decided, and mirrored.

Their subscription at Stripe is one of its own. What Stripe holds may be smaller than what is paid
only in the last days before a renewal with fewer machines.
"""

from datetime import datetime, timedelta

import structlog
from django.db import transaction

from billing import catalogue, plans
from billing.answers import StripeItem, StripeSubscription
from billing.gateways import StripeGateway, StripeRefused, gateway
from billing.models import BillingAccount, PlanTerm, PrepaidTerm, YearlyMachines
from billing.periods import next_full_hour
from billing.plans import Plan
from billing.services.accounts import ensure_customer
from billing.services.changing import is_larger
from billing.services.subscriptions import live_subscription

log = structlog.get_logger()

# Stripe hears of a smaller renewal this long before it: late, so that more machines can be had
# meanwhile without a detour, and early enough for Stripe to be away for some time.
_BEFORE_RENEWAL = timedelta(days=3)
# Stripe forgets idempotency keys after a day; a purchase that is older is looked for first.
_KEY_LIVES = timedelta(hours=23)


def live_yearly(account: BillingAccount) -> YearlyMachines | None:
    return YearlyMachines.objects.filter(account=account, ended_at=None).first()


@transaction.atomic
def settle(*, account_id: str, at: datetime) -> str:
    """Bring Stripe to what was decided of an account's yearly machines. Repeating it is harmless.

    Returns:
        the bank's words where a payment was declined and the wish for it taken back, else "".

    Raises:
        StripeAway, StripeRefused: from the gateway; calling again goes on where it stopped.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    row = live_yearly(account)
    if row is None:
        return ""
    stripe = gateway()
    if not row.stripe_id:
        return _open(account, row, stripe, at=at)
    answer = stripe.subscription(row.stripe_id)
    mirror(account, row, answer, stripe)
    if row.ended_at is not None:
        return ""
    answer = _swap_to_larger(account, row, answer, stripe, at=at)
    words, answer = _add(account, row, answer, stripe, at=at)
    if _renews(account, row):
        answer = _prepare_renewal(account, row, answer, stripe, at=at)
    _tell_end(account, row, answer, stripe, at=at)
    return words


def _price_id(stripe: StripeGateway, account: BillingAccount, plan: Plan) -> str:
    price = catalogue.yearly_price(plan, currency=account.currency)
    return catalogue.ensure_prices(stripe, (price,))[0]


def _paid_plan(row: YearlyMachines) -> Plan:
    return plans.plan(row.plan, row.version)


def _open(
    account: BillingAccount, row: YearlyMachines, stripe: StripeGateway, *, at: datetime
) -> str:
    customer_id = ensure_customer(account, stripe=stripe)
    price_id = _price_id(stripe, account, _paid_plan(row))
    found = None
    if at - row.started_at > _KEY_LIVES:
        found = _opened_before(account, price_id, customer_id, stripe)
    try:
        answer = found or stripe.create_yearly(
            key=f"yearly-{row.pk.hex}",
            customer_id=customer_id,
            price_id=price_id,
            quantity=row.n_machines,
            metadata={"yearly": str(row.pk)},
        )
    except StripeRefused as refusal:
        row.delete()
        log.info("billing.yearly.declined", account=str(account.pk), code=refusal.code)
        return str(refusal)
    row.stripe_id, row.period_end = answer.id, answer.period_end
    row.save()
    _write_term(account, row.n_machines, answer.period_start)
    write_renewal(account, row)
    log.info("billing.yearly.paid", account=str(account.pk), n_machines=row.n_machines)
    return ""


def _opened_before(
    account: BillingAccount, price_id: str, customer_id: str, stripe: StripeGateway
) -> StripeSubscription | None:
    """Return the subscription of a purchase whose answer was lost, if there is one."""
    known = set(YearlyMachines.objects.filter(account=account).values_list("stripe_id", flat=True))
    for invoice in stripe.invoices(customer_id):
        if price_id in {line.price_id for line in invoice.lines} and (
            invoice.subscription_id and invoice.subscription_id not in known
        ):
            return stripe.subscription(invoice.subscription_id)
    return None


def mirror(
    account: BillingAccount, row: YearlyMachines, answer: StripeSubscription, stripe: StripeGateway
) -> None:
    """Keep what Stripe says of a paid year: that it ended, or that another one began.

    A renewal that Stripe made before it heard of fewer machines is put right from its start on.
    """
    if answer.ended_at is not None:
        row.ended_at = answer.ended_at
        row.save()
        PrepaidTerm.objects.filter(account=account, starts_at__gt=answer.ended_at).delete()
        _write_term(account, 0, answer.ended_at)
        return
    was_renewed = row.period_end is not None and answer.period_end > row.period_end
    if was_renewed and row.renews:
        plan = _plan_at_renewal(account, row)
        row.n_machines = row.renewal_machines or row.n_machines
        row.plan, row.version, row.renewal_machines = plan.key, plan.version, None
        price_id = _price_id(stripe, account, plan)
        if not _is(answer.items[0], price_id, row.n_machines):
            _put(row, answer, stripe, price_id=price_id, at=answer.period_start)
    if not was_renewed or row.renews:
        row.period_end = answer.period_end
    row.save()


def _is(item: StripeItem, price_id: str, quantity: int) -> bool:
    return (item.price_id, item.quantity) == (price_id, quantity)


def _put(
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    price_id: str,
    at: datetime,
) -> StripeSubscription:
    """Change what Stripe holds to the row's machines, charged or credited from a moment on."""
    item = answer.items[0]
    since = max(at, item.period_start)
    return stripe.change_quantity(
        key=f"put-{row.pk.hex}-{price_id}-{row.n_machines}-{since.timestamp():.0f}",
        subscription_id=answer.id,
        item_id=item.id,
        price_id=price_id,
        quantity=row.n_machines,
        at=since,
    )


def _term_at(account: BillingAccount, at: datetime) -> PlanTerm | None:
    return (
        PlanTerm.objects.filter(account=account, starts_at__lte=at).order_by("-starts_at").first()
    )


def _plan_at_renewal(account: BillingAccount, row: YearlyMachines) -> Plan:
    """Return the plan that will be in force at the end of the paid year, as chosen by now."""
    term = _term_at(account, row.period_end) if row.period_end else None
    return plans.plan(term.plan, term.version) if term else _paid_plan(row)


def _renews(account: BillingAccount, row: YearlyMachines) -> bool:
    """Say whether another year follows: not where the plan has ended by then."""
    subscription = live_subscription(account)
    if subscription is None or row.period_end is None or not row.renews:
        return False
    ends_before = subscription.ends_at is not None and subscription.ends_at <= row.period_end
    return not ends_before and bool(_plan_at_renewal(account, row).yearly_prices)


def _swap_to_larger(
    account: BillingAccount,
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> StripeSubscription:
    """Let the machines pay a larger plan for the rest of their year, from when it took over."""
    term = _term_at(account, at)
    if term is None or term.is_trial:
        return answer
    plan = plans.plan(term.plan, term.version)
    if not plan.yearly_prices or not is_larger(plan, _paid_plan(row), account.currency):
        return answer
    answer = as_paid(account, row, answer, stripe, at=at)
    row.plan, row.version = plan.key, plan.version
    price_id = _price_id(stripe, account, plan)
    answer = _put(row, answer, stripe, price_id=price_id, at=term.starts_at)
    row.save()
    return answer


def as_paid(
    account: BillingAccount,
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> StripeSubscription:
    """Have Stripe hold what is paid, where it stood at a smaller renewal already."""
    price_id = _price_id(stripe, account, _paid_plan(row))
    if _is(answer.items[0], price_id, row.n_machines):
        return answer
    return _hold(row, answer, stripe, price_id=price_id, quantity=row.n_machines, at=at)


def _hold(
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    price_id: str,
    quantity: int,
    at: datetime,
) -> StripeSubscription:
    """Change what Stripe will charge for the next year; nothing is charged for this one."""
    item = answer.items[0]
    return stripe.change_quantity(
        key=f"hold-{row.pk.hex}-{price_id}-{quantity}-{at.timestamp():.0f}",
        subscription_id=answer.id,
        item_id=item.id,
        price_id=price_id,
        quantity=quantity,
        at=None,
        behavior="none",
    )


def _add(
    account: BillingAccount,
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> tuple[str, StripeSubscription]:
    """Charge more machines for the rest of the year; a declined card takes the wish back."""
    wanted, since = row.wanted_machines, row.wanted_at
    if wanted is None or since is None:
        return "", answer
    row.wanted_machines, row.wanted_at = None, None
    words = ""
    if (answer.items[0].quantity or 0) < wanted:
        answer = as_paid(account, row, answer, stripe, at=at)
        item = answer.items[0]
        try:
            answer = stripe.change_quantity(
                key=f"more-{row.pk.hex}-{wanted}-{since.timestamp():.0f}",
                subscription_id=answer.id,
                item_id=item.id,
                price_id=None,
                quantity=wanted,
                at=max(since, item.period_start),
                only_if_paid=True,
            )
        except StripeRefused as refusal:
            words = str(refusal)
    if not words:
        row.n_machines = wanted
        _write_term(account, wanted, since)
    row.save()
    return words, answer


def _prepare_renewal(
    account: BillingAccount,
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> StripeSubscription:
    """Tell Stripe shortly before a renewal how many machines, and at which price, it is for."""
    if row.period_end is None or row.period_end - at > _BEFORE_RENEWAL:
        return answer
    price_id = _price_id(stripe, account, _plan_at_renewal(account, row))
    quantity = row.renewal_machines or row.n_machines
    if _is(answer.items[0], price_id, quantity):
        return answer
    return _hold(row, answer, stripe, price_id=price_id, quantity=quantity, at=at)


def _tell_end(
    account: BillingAccount,
    row: YearlyMachines,
    answer: StripeSubscription,
    stripe: StripeGateway,
    *,
    at: datetime,
) -> None:
    """Tell Stripe whether the year is renewed; one that Stripe renewed in vain is given back."""
    renews = _renews(account, row)
    if row.period_end is not None and answer.period_end > row.period_end:
        stripe.cancel_now(
            key=f"yearly-back-{row.pk.hex}",
            subscription_id=answer.id,
            invoice_now=True,
            credit_rest=True,
        )
        mirror(account, row, stripe.subscription(answer.id), stripe)
    elif answer.cancel_at_period_end == renews:
        stripe.end_with_period(
            key=f"yearly-end-{row.pk.hex}-{renews}-{at.timestamp():.0f}",
            subscription_id=answer.id,
            wanted=not renews,
        )


def _write_term(account: BillingAccount, n_machines: int, since: datetime) -> None:
    PrepaidTerm.objects.update_or_create(
        account=account,
        starts_at=next_full_hour(since),
        defaults={"n_machines": n_machines},
    )


def write_renewal(account: BillingAccount, row: YearlyMachines) -> None:
    """Write how many machines are paid from the end of the paid year on, as decided by now."""
    if row.period_end is None:
        return
    starts_at = next_full_hour(row.period_end)
    PrepaidTerm.objects.filter(account=account, starts_at__gte=starts_at).delete()
    if not row.renews:
        _write_term(account, 0, row.period_end)
    elif row.renewal_machines is not None:
        _write_term(account, row.renewal_machines, row.period_end)
