"""What a person was told in Takt, and what of it is unread."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from tenants.models import Delivery, Factory, Notification, User

KEPT_FOR = timedelta(days=90)


def inbox(*, user: User, factory: Factory) -> QuerySet[Delivery]:
    """Return what a person was told in a factory, newest first."""
    return (
        Delivery.objects.filter(user=user, factory=factory, channel=Delivery.Channel.INBOX)
        .select_related("notification")
        .order_by("-notification__at", "pk")
    )


def n_unread(*, user: User, factory: Factory) -> int:
    """Count what a person has not read (one look at a partial index)."""
    return _unread(user, factory).count()


def mark_read(
    *, user: User, factory: Factory, at: datetime, notification_id: UUID | None = None
) -> int:
    """Mark one thing that a person was told as read, or all of them; return how many that were."""
    rows = _unread(user, factory)
    if notification_id is not None:
        rows = rows.filter(notification=notification_id)
    return rows.update(read_at=at)


def _unread(user: User, factory: Factory) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        user=user, factory=factory, channel=Delivery.Channel.INBOX, read_at=None
    )


def tidy(*, at: datetime) -> None:
    """Remove what happened so long ago that nobody will look for it here."""
    Notification.objects.filter(at__lt=at - KEPT_FOR).delete()
