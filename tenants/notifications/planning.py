"""Write down what happened and who is to hear of it."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import transaction
from django.utils.http import url_has_allowed_host_and_scheme

from tenants import jobs
from tenants.models import Delivery, Factory, Membership, Notification, WebhookEndpoint
from tenants.notifications import preferences, quiet
from tenants.notifications.preferences import CRITICAL, LOW, NEVER, Wishes

DELIVER = "tenants.deliver"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def notify(
    *,
    factory: Factory,
    topic: str,
    severity: int,
    subject: str,
    text: str,
    path: str,
    key: str,
    recipients: Sequence[int] | None = None,
    at: datetime,
) -> int:
    """Tell a factory's people and systems of something, once a `key`, in the caller's transaction.

    Args:
        severity: 1 critical to 4 low. Low ones reach the mail once a day, together.
        path: a page on the factory's host that shows more.
        recipients: user ids; they are told unless they switched a channel off for the topic, and
            who is no member any more is left out. None: every member whose preferences ask for
            this topic and severity. Webhooks follow their own choice of topics either way.

    Returns:
        How many deliveries were planned; 0 where the key was there already.

    Raises:
        ValueError: severity, topic, key or path is none.
    """
    _check(topic=topic, severity=severity, path=path, key=key)
    notification = Notification(
        factory=factory,
        topic=topic,
        severity=severity,
        subject=_one_line(subject)[:200],
        text=text.replace("\x00", ""),
        path=path,
        key=key,
        at=at,
    )
    with transaction.atomic():
        # A second writer of the key waits here until the first one's transaction ends.
        Notification.objects.bulk_create([notification], ignore_conflicts=True)
        if not Notification.objects.filter(pk=notification.pk).exists():
            return 0
        planned = [
            *_to_people(notification, recipients, at),
            *_to_endpoints(notification, at),
        ]
        Delivery.objects.bulk_create(planned)
        _start(planned, factory)
    return len(planned)


def plan_for_endpoint(
    *, notification: Notification, endpoint: WebhookEndpoint, at: datetime
) -> Delivery:
    """Send something to one endpoint alone (a ping)."""
    with transaction.atomic():
        notification.save(force_insert=True)
        delivery = _webhook(notification, endpoint, at)
        delivery.save(force_insert=True)
        jobs.enqueue(
            task=DELIVER, kwargs={"delivery_ids": [str(delivery.pk)]}, factory=endpoint.factory
        )
    return delivery


def _check(*, topic: str, severity: int, path: str, key: str) -> None:
    if severity not in range(CRITICAL, LOW + 1):
        raise ValueError(f"a severity is 1 to 4, not {severity}")
    if not 0 < len(topic) <= 40:
        raise ValueError(f"not a topic: {topic!r}")
    if not 0 < len(key) <= 200:
        raise ValueError(f"a key has 1 to 200 characters, not {len(key)}")
    is_ours = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    if not is_ours or len(path) > 500:
        raise ValueError(f"not a page of the factory: {path!r}")


def _one_line(text: str) -> str:
    """Make one printable line of a text that becomes the head of a mail."""
    return " ".join(_UNPRINTABLE.sub(" ", text).split())


def _to_people(
    notification: Notification, recipients: Sequence[int] | None, at: datetime
) -> Iterator[Delivery]:
    members = Membership.objects.filter(factory=notification.factory, user__is_active=True)
    if recipients is not None:
        members = members.filter(user__in=recipients)
    users = list(members.order_by("user_id").values_list("user_id", flat=True))
    found = preferences.wishes_of(users, factory=notification.factory, topic=notification.topic)
    is_named = recipients is not None
    for user_id, wishes in found.items():
        if _asks(wishes.least.inbox, notification.severity, is_named):
            yield Delivery(
                notification=notification,
                factory=notification.factory,
                channel=Delivery.Channel.INBOX,
                user_id=user_id,
                state=Delivery.State.SENT,  # being in the table is being in the inbox
                next_at=at,
                sent_at=at,
            )
        if _asks(wishes.least.mail, notification.severity, is_named):
            yield _mail(notification, user_id, wishes, at)


def _asks(least: int, severity: int, is_named: bool) -> bool:
    return least != NEVER and (is_named or severity <= least)


def _mail(notification: Notification, user_id: int, wishes: Wishes, at: datetime) -> Delivery:
    if notification.severity == LOW:
        due = quiet.next_daily_mail(at, wishes.quiet, wishes.zone)
    elif notification.severity == CRITICAL and wishes.critical_breaks_through:
        due = at
    else:
        due = quiet.quiet_until(at, wishes.quiet, wishes.zone)
    is_held = due > at
    return Delivery(
        notification=notification,
        factory=notification.factory,
        channel=Delivery.Channel.MAIL,
        user_id=user_id,
        state=Delivery.State.HELD if is_held else Delivery.State.PLANNED,
        in_digest=is_held,
        next_at=due,
    )


def _to_endpoints(notification: Notification, at: datetime) -> Iterator[Delivery]:
    endpoints = WebhookEndpoint.objects.filter(factory=notification.factory, enabled=True)
    for endpoint in endpoints.order_by("created_at", "pk"):
        if not endpoint.topics or notification.topic in endpoint.topics:
            yield _webhook(notification, endpoint, at)


def _webhook(notification: Notification, endpoint: WebhookEndpoint, at: datetime) -> Delivery:
    return Delivery(
        notification=notification,
        factory=notification.factory,
        channel=Delivery.Channel.WEBHOOK,
        endpoint=endpoint,
        next_at=at,
    )


def _start(planned: list[Delivery], factory: Factory) -> None:
    """Queue what can go at once; the rest, and what a failing endpoint owes, the sweeper finds."""
    mails = [str(d.pk) for d in planned if d.user_id and d.state == Delivery.State.PLANNED]
    groups = [mails] if mails else []
    groups += [[str(d.pk)] for d in planned if d.endpoint and d.endpoint.failing_since is None]
    for ids in groups:
        jobs.enqueue(task=DELIVER, kwargs={"delivery_ids": ids}, factory=factory)
