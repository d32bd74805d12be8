"""Bring deliveries to where they go: claimed by a lease, tried again, put aside, replayed.

Each attempt may happen twice (a worker can die after the other side has the message), so a
webhook keeps its `webhook-id` and a mail its Message-ID.
"""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, QuerySet

from tenants import entry, jobs
from tenants.models import Delivery, Factory, Membership, WebhookEndpoint
from tenants.notifications import endpoints, mails, sending, signing
from tenants.notifications.planning import DELIVER
from tenants.notifications.secrets import SecretLost
from tenants.notifications.sending import Answer

log = structlog.get_logger()

# Longer than any one attempt takes; after it another worker may try.
LEASE = timedelta(seconds=60)
# Ten tries over a day (23 h); each wait is jittered by a fifth.
WAITS = tuple(timedelta(seconds=s) for s in (10, 60, 300, 900, 3600, 7200, 14_400, 28_800, 28_800))
MAX_ATTEMPTS = len(WAITS) + 1
MAX_WAIT = timedelta(days=1)
# How much one tick hands to one job: an endpoint that does not answer holds one worker for two
# attempts at most, however much waits for it.
A_TICK, A_TICK_WHILE_FAILING, MAILS_A_TICK = 20, 2, 50


def known(delivery_ids: Sequence[str], *, factory: Factory) -> list[UUID]:
    """Return those of the deliveries that the factory still has.

    Raises:
        jobs.JobRefused: it has none of them.
    """
    found = Delivery.objects.filter(factory=factory, pk__in=delivery_ids).order_by("next_at", "pk")
    ids = list(found.values_list("pk", flat=True))
    if not ids:
        raise jobs.JobRefused("These deliveries are gone, or belong to another factory.")
    return ids


def deliver(*, delivery_id: UUID, at: datetime) -> int:
    """Try a delivery if it is due, and return how many messages arrived (0 or 1)."""
    claimed = _claim(Delivery.objects.filter(pk=delivery_id), at)
    if not claimed:
        return 0  # somebody else has it, or it is settled
    if claimed[0].channel == Delivery.Channel.WEBHOOK:
        return int(_send_webhook(claimed[0], at))
    return int(_send_mail(claimed, at))


def _claim(rows: QuerySet[Delivery], at: datetime) -> list[Delivery]:
    """Take what is due by moving `next_at` on: whoever moved it has it until the lease ends."""
    with transaction.atomic():
        due = rows.filter(state__in=Delivery.OPEN_STATES, next_at__lte=at)
        ids = list(due.select_for_update(skip_locked=True).values_list("pk", flat=True))
        Delivery.objects.filter(pk__in=ids).update(
            next_at=at + LEASE, n_attempts=F("n_attempts") + 1
        )
    found = Delivery.objects.filter(pk__in=ids).select_related(
        "notification", "factory", "user", "endpoint"
    )
    return list(found.order_by("notification__at", "pk"))


# -- webhooks


def body_of(delivery: Delivery) -> bytes:
    """Return the message of a webhook; every attempt sends the same bytes."""
    told = delivery.notification
    message = {
        "id": str(delivery.pk),
        "type": told.topic,
        "created": told.at.isoformat(),
        "data": {
            "factory": delivery.factory.schema_name,
            "severity": told.severity,
            "subject": told.subject,
            "text": told.text,
            "url": entry.portal_url(delivery.factory, told.path),
            "key": told.key,
        },
    }
    return json.dumps(message, separators=(",", ":")).encode()


def _send_webhook(delivery: Delivery, at: datetime) -> bool:
    endpoint = delivery.endpoint
    assert endpoint is not None
    if not endpoint.enabled:
        _settle([delivery], Delivery.State.DEAD, last_error="The endpoint is switched off.")
        return False
    body = body_of(delivery)
    try:
        keys = endpoints.valid_secrets(endpoint, at=at)
    except SecretLost:
        answer = Answer(error="Its signing secret cannot be read: rotate it.", is_refused=True)
    else:
        headers = signing.headers(message_id=str(delivery.pk), body=body, secrets=keys, at=at)
        answer = sending.post(endpoint.url, body, headers, at=at)
    _record(delivery, endpoint, answer, at)
    return answer.is_ok


def _record(delivery: Delivery, endpoint: WebhookEndpoint, answer: Answer, at: datetime) -> None:
    seen = {"response_status": answer.status, "response_text": answer.text}
    log.info("webhook.tried", delivery_id=str(delivery.pk), status=answer.status)
    is_gone = answer.status == sending.GONE
    with transaction.atomic():
        if answer.is_ok:
            _settle([delivery], Delivery.State.SENT, sent_at=at, last_error="", **seen)
            endpoints.mark_answering(endpoint)
        else:
            is_final = answer.is_refused or is_gone
            wait_s = answer.retry_after_s
            _try_later([delivery], answer.error, at, wait_s, is_final=is_final, **seen)
            endpoints.mark_failing(endpoint, is_gone=is_gone, at=at)


# -- mail


def _send_mail(claimed: list[Delivery], at: datetime) -> bool:
    """Send a person what was claimed, and with it everything else that was held until now."""
    first = claimed[0]
    if first.in_digest:
        held = Delivery.objects.filter(
            factory=first.factory_id,
            user=first.user_id,
            channel=Delivery.Channel.MAIL,
            in_digest=True,
        )
        claimed = sorted([first, *_claim(held, at)], key=lambda held: held.notification.at)
    if not Membership.objects.filter(user=first.user_id, factory=first.factory_id).exists():
        _settle(claimed, Delivery.State.DEAD, last_error="No longer a member.")
        return False
    try:
        mails.send(claimed)
    except Exception as failure:  # a mail server can fail in many ways; each is tried again
        log.warning("mail.failed", error=type(failure).__name__)
        _try_later(claimed, f"The mail server refused it ({type(failure).__name__}).", at)
        return False
    _settle(claimed, Delivery.State.SENT, sent_at=at, last_error="")
    return True


# -- what became of it


def _settle(deliveries: Sequence[Delivery], state: str, **fields: object) -> None:
    ids = [delivery.pk for delivery in deliveries]
    Delivery.objects.filter(pk__in=ids).update(state=state, **fields)


def _try_later(
    deliveries: Sequence[Delivery],
    error: str,
    at: datetime,
    retry_after_s: float | None = None,
    *,
    is_final: bool = False,
    **fields: object,
) -> None:
    """Plan the next try, the same for all of them, or give them up."""
    n_attempts = deliveries[0].n_attempts
    if is_final or n_attempts >= MAX_ATTEMPTS:
        _settle(deliveries, Delivery.State.DEAD, last_error=error[:300], **fields)
        return
    wait = WAITS[n_attempts - 1] * (0.8 + secrets.randbelow(401) / 1000)
    if retry_after_s is not None:
        wait = max(wait, min(timedelta(seconds=retry_after_s), MAX_WAIT))
    _settle(deliveries, Delivery.State.FAILED, next_at=at + wait, last_error=error[:300], **fields)


def replay(*, delivery: Delivery, at: datetime) -> bool:
    """Give a delivery that failed another ten tries; False where it arrived or is on its way.

    Raises:
        EndpointOff: nothing is sent to an endpoint that is switched off.
    """
    if delivery.endpoint is not None and not delivery.endpoint.enabled:
        raise endpoints.EndpointOff
    with transaction.atomic():
        n_revived = Delivery.objects.filter(
            pk=delivery.pk, state__in=(Delivery.State.DEAD, Delivery.State.FAILED)
        ).update(state=Delivery.State.PLANNED, n_attempts=0, next_at=at)
        if n_revived:
            jobs.enqueue(
                task=DELIVER, kwargs={"delivery_ids": [str(delivery.pk)]}, factory=delivery.factory
            )
    return bool(n_revived)


def sweep(*, at: datetime) -> int:
    """Queue what is due: retries, quiet hours that ended, what lost jobs left. Return how many."""
    due = Delivery.objects.filter(state__in=Delivery.OPEN_STATES, next_at__lte=at)
    n_queued = 0
    owed = WebhookEndpoint.objects.filter(pk__in=due.values("endpoint")).select_related("factory")
    for endpoint in owed.order_by("pk"):
        n = A_TICK_WHILE_FAILING if endpoint.failing_since else A_TICK
        n_queued += _queue(
            due.filter(endpoint=endpoint)[:n], endpoint.factory, f"webhook-{endpoint.pk}"
        )
    waiting = due.filter(channel=Delivery.Channel.MAIL).order_by("factory").distinct("factory")
    for row in waiting.select_related("factory"):
        mine = due.filter(channel=Delivery.Channel.MAIL, factory=row.factory)
        n_queued += _queue(mine[:MAILS_A_TICK], row.factory, "mails")
    return n_queued


def _queue(rows: QuerySet[Delivery], factory: Factory, key: str) -> int:
    ids = [str(pk) for pk in rows.values_list("pk", flat=True)]
    jobs.enqueue(task=DELIVER, kwargs={"delivery_ids": ids}, factory=factory, key=key)
    return len(ids)
