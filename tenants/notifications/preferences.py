"""How a member likes to be told: from which severity on, by which channel, and when not."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import time
from zoneinfo import ZoneInfo, available_timezones

from django.db import transaction

from tenants.models import Factory, NotificationPreference, QuietHours, User
from tenants.notifications.quiet import Quiet

NEVER = 0
CRITICAL = 1
LOW = 4


class PreferenceRefused(Exception):
    """What was chosen cannot be kept; `field` names the choice, the text says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


@dataclass(frozen=True, slots=True)
class Least:
    """The least severity told by each channel; 0 is never, 4 is everything."""

    mail: int = 2
    inbox: int = LOW


@dataclass(frozen=True, slots=True)
class QuietChoice:
    """Quiet hours as a person states them; a time zone of "" is the factory's."""

    starts: time | None = None
    ends: time | None = None
    days: tuple[int, ...] = ()
    time_zone: str = ""
    critical_breaks_through: bool = True


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one member chose, read once for one notification."""

    least: Least
    quiet: Quiet
    zone: ZoneInfo
    critical_breaks_through: bool


def wishes_of(users: Iterable[int], *, factory: Factory, topic: str) -> dict[int, Wishes]:
    """Return by user id what each wishes about a topic, two queries for all of them."""
    ids = list(users)
    chosen: dict[int, NotificationPreference] = {}
    rows = NotificationPreference.objects.filter(
        factory=factory, user__in=ids, topic__in=("", topic)
    )
    for row in rows.order_by("topic"):  # the topic's own comes after "" and wins
        chosen[row.user_id] = row
    quiet = {row.user_id: row for row in QuietHours.objects.filter(factory=factory, user__in=ids)}
    return {user: _wishes(chosen.get(user), quiet.get(user), factory) for user in ids}


def _wishes(
    row: NotificationPreference | None, hours: QuietHours | None, factory: Factory
) -> Wishes:
    least = Least(row.mail_least, row.inbox_least) if row else Least()
    if hours is None:
        return Wishes(least, Quiet(), ZoneInfo(factory.time_zone), True)
    return Wishes(
        least,
        Quiet(hours.starts, hours.ends, frozenset(hours.quiet_days)),
        ZoneInfo(hours.time_zone or factory.time_zone),
        hours.critical_breaks_through,
    )


def choices_of(user: User, *, factory: Factory) -> dict[str, Least]:
    """Return what a person chose, by topic; "" stands for all others and is always there."""
    rows = NotificationPreference.objects.filter(user=user, factory=factory)
    return {"": Least()} | {row.topic: Least(row.mail_least, row.inbox_least) for row in rows}


def quiet_of(user: User, *, factory: Factory) -> QuietChoice:
    row = QuietHours.objects.filter(user=user, factory=factory).first()
    if row is None:
        return QuietChoice()
    return QuietChoice(
        row.starts, row.ends, tuple(row.quiet_days), row.time_zone, row.critical_breaks_through
    )


def save(*, user: User, factory: Factory, least: dict[str, Least], quiet: QuietChoice) -> None:
    """Keep how a person likes to be told; topics left out follow "" from now on.

    Raises:
        PreferenceRefused: the quiet hours would never end, or are not known as such.
    """
    _check(quiet)
    with transaction.atomic():
        kept = NotificationPreference.objects.filter(user=user, factory=factory)
        kept.exclude(topic__in=least).delete()
        for topic, chosen in least.items():
            NotificationPreference.objects.update_or_create(
                user=user,
                factory=factory,
                topic=topic,
                defaults={"mail_least": chosen.mail, "inbox_least": chosen.inbox},
            )
        QuietHours.objects.update_or_create(
            user=user,
            factory=factory,
            defaults={
                "starts": quiet.starts,
                "ends": quiet.ends,
                "quiet_days": sorted(quiet.days),
                "time_zone": quiet.time_zone,
                "critical_breaks_through": quiet.critical_breaks_through,
            },
        )


def _check(quiet: QuietChoice) -> None:
    if (quiet.starts is None) != (quiet.ends is None):
        raise PreferenceRefused("starts", "Quiet hours need both a start and an end.")
    if quiet.starts is not None and quiet.starts == quiet.ends:
        raise PreferenceRefused("ends", "The end is the start: say when they end.")
    if not set(quiet.days) <= set(range(7)):
        raise PreferenceRefused("days", "A week has the days 0 (Monday) to 6.")
    if len(set(quiet.days)) == 7:
        raise PreferenceRefused("days", "One day at least must not be quiet.")
    if quiet.time_zone and quiet.time_zone not in available_timezones():
        raise PreferenceRefused("time_zone", "There is no such time zone.")
