"""What Stripe delivers: stored once, applied once, in whatever order and number it comes."""

from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from billing.gateways import StripeEvent, StripeRefused, gateway
from billing.models import BillingAccount, InboxEvent
from billing.services.credits import sync_after_credit
from billing.services.mirror import sync_invoice, sync_subscription
from tenants import jobs

log = structlog.get_logger()

MAX_ATTEMPTS = 5


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
            return event.state
    except StripeRefused as refusal:
        return _put_aside(event_id, str(refusal), at=at)


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


def _apply(event: InboxEvent, *, at: datetime) -> InboxEvent.State:
    body = event.payload.get("data", {}).get("object", {})
    customer_id, object_id = body.get("customer"), body.get("id")
    account = (
        BillingAccount.objects.select_for_update(of=("self",))
        .filter(stripe_customer_id=customer_id)
        .first()
        if customer_id
        else None
    )
    if account is None or not object_id:
        return InboxEvent.State.IGNORED
    if event.kind.startswith("customer.subscription."):
        sync_subscription(account, stripe_id=object_id, stripe=gateway(), at=at)
    elif event.kind.startswith("invoice."):
        sync_invoice(account, stripe_id=object_id, stripe=gateway(), at=at)
    elif event.kind.startswith("credit_note.") or event.kind == "charge.refunded":
        sync_after_credit(account, stripe=gateway(), at=at)
    else:
        return InboxEvent.State.IGNORED
    return InboxEvent.State.DONE


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
