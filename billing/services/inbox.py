"""What Stripe delivers: stored once, applied once, in whatever order and number it comes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.gateways import StripeEvent, StripeRefused, gateway
from billing.models import BillingAccount, InboxEvent
from billing.services.meter_errors import settle_meter_errors
from billing.services.mirror import (
    sync_credit_notes,
    sync_invoice,
    sync_live_subscription,
    sync_subscription,
)
from billing.services.standing import review_standing
from tenants import jobs

log = structlog.get_logger()

MAX_ATTEMPTS = 5
METER_ERRORS = (
    "v1.billing.meter.error_report_triggered",
    "v1.billing.meter.no_meter_found",
)


@transaction.atomic
def receive(*, event: StripeEvent, at: datetime) -> bool:
    """Store an event whose signature held, and have it applied. False for one that is known."""
    row = InboxEvent(event_id=event.id, kind=event.kind[:80], payload=event.payload, received_at=at)
    InboxEvent.objects.bulk_create([row], ignore_conflicts=True)
    # A conflict leaves the stored row as it was; ours is recognised by its time.
    is_new = InboxEvent.objects.filter(event_id=event.id, received_at=at).exists()
    if is_new:
        _queue(event.id)
    return is_new


def _queue(event_id: str) -> None:
    jobs.enqueue(
        task="billing.apply_event", kwargs={"event_id": event_id}, key=f"stripe-{event_id}"
    )


def apply_event(*, event_id: str, at: datetime | None = None) -> str:
    """Bring our mirrors to what Stripe says now of the object an event speaks of.

    The fetch, the effect and the receipt are one transaction under the account's lock, so that
    of two events about one object the later fetch always wins. Repeating it changes nothing.
    How the account stands is reviewed afterwards, in a transaction of its own and also by a
    repeat: a mail that cannot be written must not undo what Stripe said.

    Returns:
        The state of the event.

    Raises:
        StripeAway: Stripe cannot be asked now; the event waits.
    """
    at = at or timezone.now()
    try:
        with transaction.atomic():
            event = InboxEvent.objects.select_for_update().get(pk=event_id)
            if event.state == InboxEvent.State.RECEIVED:
                event.state = _apply(event, at=at)
                event.n_attempts += 1
                event.error, event.finished_at = "", at
                event.save()
    except StripeRefused as refusal:
        return _put_aside(event_id, str(refusal), at=at)
    if event.state == InboxEvent.State.DONE:
        account = _accounts_of(event).first()
        if account is not None:
            review_standing(account_id=str(account.pk), at=at)
    return event.state


def _put_aside(event_id: str, error: str, *, at: datetime) -> str:
    """Count a failure; after the last try the event becomes a dead letter."""
    InboxEvent.objects.filter(pk=event_id).update(n_attempts=F("n_attempts") + 1, error=error[:500])
    n_dead = InboxEvent.objects.filter(pk=event_id, n_attempts__gte=MAX_ATTEMPTS).update(
        state=InboxEvent.State.DEAD, finished_at=at
    )
    if n_dead:
        log.error("billing.event.dead", event_id=event_id)
        return InboxEvent.State.DEAD
    return InboxEvent.State.RECEIVED


def _object_of(event: InboxEvent) -> Mapping[str, Any]:
    data = event.payload.get("data")
    body = data.get("object") if isinstance(data, dict) else None
    return body if isinstance(body, dict) else {}


def _customer_of(event: InboxEvent) -> str:
    """Return whom an event speaks of; a card that was detached says it only of before."""
    body = _object_of(event)
    if body.get("object") == "customer" or event.kind in ("customer.updated", "customer.created"):
        return str(body.get("id") or "")
    before = event.payload.get("data", {}).get("previous_attributes") or {}
    return str(body.get("customer") or before.get("customer") or "")


def _accounts_of(event: InboxEvent) -> Any:
    # An account without a customer has none, not an empty one.
    return BillingAccount.objects.filter(stripe_customer_id=_customer_of(event) or "-")


def _apply(event: InboxEvent, *, at: datetime) -> InboxEvent.State:
    if event.kind in METER_ERRORS:
        settle_meter_errors(event_id=event.pk, payload=event.payload, stripe=gateway())
        return InboxEvent.State.DONE
    effect = _effect_of(event.kind)
    object_id = _object_of(event).get("id")
    if effect is None or not object_id:
        return InboxEvent.State.IGNORED
    account = _accounts_of(event).select_for_update(of=("self",)).first()
    if account is None:
        return InboxEvent.State.IGNORED
    effect(account, stripe_id=str(object_id), stripe=gateway(), at=at)
    return InboxEvent.State.DONE


Effect = Callable[..., None]
# By the beginning of an event's name; what it speaks of is fetched anew.
_EFFECTS: tuple[tuple[str, Effect], ...] = (
    ("customer.subscription.", sync_subscription),
    ("invoice.", sync_invoice),
    ("customer.updated", sync_live_subscription),
    ("customer.discount.", sync_live_subscription),
    ("payment_method.", sync_live_subscription),
    ("checkout.session.completed", sync_live_subscription),
    ("credit_note.", sync_credit_notes),
    ("charge.refunded", sync_credit_notes),
)


def _effect_of(kind: str) -> Effect | None:
    return next((effect for start, effect in _EFFECTS if kind.startswith(start)), None)


@transaction.atomic
def replay_event(*, event_id: str) -> None:
    """Give a dead letter another round of tries."""
    n_revived = InboxEvent.objects.filter(pk=event_id, state=InboxEvent.State.DEAD).update(
        state=InboxEvent.State.RECEIVED, n_attempts=0, finished_at=None
    )
    if n_revived:
        _queue(event_id)


def sweep(*, before: datetime) -> int:
    """Queue again the events that wait since long; return how many."""
    waiting = InboxEvent.objects.filter(
        state=InboxEvent.State.RECEIVED, received_at__lt=before
    ).values_list("event_id", flat=True)[:500]
    for event_id in waiting:
        _queue(event_id)
    return len(waiting)
