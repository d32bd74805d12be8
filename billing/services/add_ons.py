"""Add-ons: booked here at once, an item of the subscription at Stripe, prorated there.

What is booked in the middle of a month is charged for the rest of it on the next invoice, together
with the whole month to come; what is dropped is credited from the moment on.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import transaction
from django.utils import timezone

from billing import catalogue, plans
from billing.answers import StripeSubscription
from billing.gateways import StripeGateway, gateway
from billing.models import BillingAccount, BookedAddOn, Subscription
from billing.plans import AddOn
from billing.services.accounts import account_for
from billing.services.subscriptions import live_subscription
from tenants import audit, jobs
from tenants.models import Factory, User

log = structlog.get_logger()


class AddOnNotOffered(Exception):
    """The add-on cannot be booked or dropped; the text says why."""


@dataclass(frozen=True, slots=True)
class AddOnPreview:
    """What booking (or dropping) an add-on would change on the invoices. Minor units."""

    add_on: AddOn
    once_minor: int  # for the rest of the month, on the next invoice; below zero for a credit
    monthly_minor: int
    in_trial: bool


def preview_add_on(*, factory: Factory, key: str, at: datetime) -> AddOnPreview:
    """Say what booking an add-on at a moment would cost, or dropping it bring, as Stripe computes.

    Raises:
        AddOnNotOffered: it cannot be had.
        StripeAway, StripeRefused: from the gateway.
    """
    account = account_for(factory)
    subscription, found = _offered(account, key)
    price = found.prices[account.currency]
    in_trial = subscription.trial_end is not None and at < subscription.trial_end
    booked = _booked(account, key)
    if not subscription.stripe_id or in_trial:
        return AddOnPreview(found, 0, price, in_trial)
    stripe = gateway()
    tell(account_id=str(account.pk), at=at)
    booked = booked and _booked(account, key)
    if booked is not None:
        item: dict[str, object] = {"id": booked.stripe_item_id, "deleted": True}
    else:
        item = {"price": _price_id(stripe, account, found, plans.VERSION), "quantity": 1}
    shown = stripe.preview_change(
        subscription_id=subscription.stripe_id, items=[item], at=at, behavior="create_prorations"
    )
    once = sum(li.amount for li in shown.lines if li.is_proration and li.period_start >= _whole(at))
    return AddOnPreview(found, once, price, in_trial)


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _offered(account: BillingAccount, key: str) -> tuple[Subscription, AddOn]:
    subscription = live_subscription(account)
    found = next((a for a in plans.BOOK.add_ons if a.key == key), None)
    if found is None:
        raise AddOnNotOffered("There is no such add-on.")
    if subscription is None or subscription.plan not in found.plans:
        names = " and ".join(plans.plan(p).name for p in found.plans)
        raise AddOnNotOffered(f"{found.name} can be had on {names}.")
    if subscription.ends_at is not None:
        raise AddOnNotOffered("The subscription is about to end; keep it before you add to it.")
    return subscription, found


def _booked(account: BillingAccount, key: str) -> BookedAddOn | None:
    return BookedAddOn.objects.filter(account=account, key=key, ended_at=None).first()


@transaction.atomic
def book_add_on(*, factory: Factory, key: str, by: User | None, at: datetime) -> BookedAddOn:
    """Book an add-on from a moment on; Stripe hears of it after the commit. Twice changes nothing.

    Raises:
        AddOnNotOffered: it cannot be had.
    """
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    _offered(account, key)
    booked = _booked(account, key)
    if booked is not None:
        return booked
    row = BookedAddOn.objects.create(
        account=account, key=key, version=plans.VERSION, starts_at=_whole(at)
    )
    audit.record(action="billing.add_on_booked", actor=by, target=key, factory=factory)
    _tell_later(account)
    return row


@transaction.atomic
def drop_add_on(*, factory: Factory, key: str, by: User | None, at: datetime | None = None) -> None:
    """End an add-on now; what is paid of its month is credited on the next invoice.

    Raises:
        AddOnNotOffered: it is not booked.
    """
    account = BillingAccount.objects.select_for_update().get(pk=account_for(factory).pk)
    row = _booked(account, key)
    if row is None:
        raise AddOnNotOffered("It is not booked.")
    row.ended_at = _whole(at or timezone.now())
    row.save()
    audit.record(action="billing.add_on_dropped", actor=by, target=key, factory=factory)
    _tell_later(account)


def _tell_later(account: BillingAccount) -> None:
    jobs.enqueue(
        task="billing.tell_change",
        kwargs={"account_id": str(account.pk)},
        key=f"tell-{account.pk}",
    )


@transaction.atomic
def tell(*, account_id: str, at: datetime) -> int:
    """Bring the items at Stripe to the add-ons that are booked; return how many had to be told.

    An add-on that the present plan does not have (or has included) ends here, with its plan.

    Raises:
        StripeAway, StripeRefused: from the gateway; calling again goes on where it stopped.
    """
    account = BillingAccount.objects.select_for_update(of=("self",)).get(pk=account_id)
    subscription = live_subscription(account)
    _end_unfitting(account, subscription, at=at)
    untold = [
        row
        for row in BookedAddOn.objects.filter(account=account).order_by("starts_at", "pk")
        if (row.ended_at is None) != bool(row.stripe_item_id)
    ]
    if subscription is None or not subscription.stripe_id:
        return 0
    for row in untold:
        _tell_one(account, row, subscription.stripe_id, gateway())
    return len(untold)


def _end_unfitting(
    account: BillingAccount, subscription: Subscription | None, *, at: datetime
) -> None:
    for row in BookedAddOn.objects.filter(account=account, ended_at=None):
        if subscription is not None and subscription.plan in _add_on(row).plans:
            continue
        row.ended_at = _whole(at)
        if subscription is None:
            row.stripe_item_id = ""  # it ended with its subscription
        row.save()
    if subscription is None:
        BookedAddOn.objects.filter(account=account).update(stripe_item_id="")


def _add_on(row: BookedAddOn) -> AddOn:
    return next(a for a in plans.BOOKS[row.version].add_ons if a.key == row.key)


def _price_id(stripe: StripeGateway, account: BillingAccount, add_on: AddOn, version: int) -> str:
    price = catalogue.add_on_price(add_on, currency=account.currency, version=version)
    return catalogue.ensure_prices(stripe, (price,))[0]


def _tell_one(
    account: BillingAccount, row: BookedAddOn, subscription_id: str, stripe: StripeGateway
) -> None:
    price_id = _price_id(stripe, account, _add_on(row), row.version)
    current = stripe.subscription(subscription_id)
    known = next((i for i in current.items if i.price_id == price_id), None)
    wanted = row.ended_at is None
    if wanted != (known is not None):
        moment = row.starts_at if row.ended_at is None else row.ended_at
        current = stripe.set_licensed_item(
            key=f"addon-{row.pk}-{wanted}",
            subscription_id=subscription_id,
            price_id=price_id,
            quantity=int(wanted),
            item_id=known.id if known else None,
            at=_within(moment, current),
        )
        known = next((i for i in current.items if i.price_id == price_id), None)
    row.stripe_item_id = known.id if known and wanted else ""
    row.save(update_fields=["stripe_item_id"])
    log.info("billing.add_on.told", account=str(account.pk), key=row.key, wanted=wanted)


def _within(moment: datetime, current: StripeSubscription) -> datetime:
    """Return the moment from which Stripe prorates: it does so within its current period only."""
    return max(moment, current.period_start)
