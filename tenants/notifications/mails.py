"""Notifications as mails: plain text, one a notification, or one for all that was held."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMessage

from tenants import entry
from tenants.models import Delivery

SEVERITIES = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
LISTED = 100  # in one mail; a longer list is not read
FOOT = "You choose what reaches you, and when, under Notifications in the menu with your initials."


def send(deliveries: Sequence[Delivery]) -> None:
    """Send one person the notifications of these deliveries in one mail."""
    first = deliveries[0]
    assert first.user is not None
    subject, body = _single(first) if len(deliveries) == 1 else _digest(deliveries)
    EmailMessage(
        subject=f"{first.factory.name}: {subject}",
        body=f"{body}\n\n-- \n{FOOT}",
        to=[first.user.email],
        # The same on every attempt, so that a mail that was sent twice is shown once.
        headers={"Message-ID": f"<{first.pk.hex}.{len(deliveries)}@{settings.BASE_HOST}>"},
    ).send()


def _single(delivery: Delivery) -> tuple[str, str]:
    told = delivery.notification
    return told.subject, "\n\n".join(
        [
            f"{SEVERITIES[told.severity]}, {_when(delivery)}.",
            told.text,
            entry.portal_url(delivery.factory, told.path),
        ]
    )


def _digest(deliveries: Sequence[Delivery]) -> tuple[str, str]:
    listed = deliveries[:LISTED]
    lines = [
        f"{_when(d)}  {SEVERITIES[d.notification.severity]}  {d.notification.subject}\n"
        f"    {entry.portal_url(d.factory, d.notification.path)}"
        for d in listed
    ]
    if len(deliveries) > LISTED:
        lines.append(f"And {len(deliveries) - LISTED} more, which you find in Takt.")
    return f"{len(deliveries)} notifications", "\n\n".join(lines)


def _when(delivery: Delivery) -> str:
    there = delivery.notification.at.astimezone(ZoneInfo(delivery.factory.time_zone))
    return f"{there:%a} {there.day} {there:%b}, {there:%H:%M}"
