"""Visits of Takt's staff to a factory's portal: asked for, consented to, traced, ended.

A visitor comes as who they are, by the ticket that members use, and is let in for as long as
`visit` finds a consent: it is asked on every request.
"""

from datetime import datetime, timedelta
from typing import Any

from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from tenants import audit
from tenants.models import Factory, Membership, Role, SupportAccess, SupportRole, User
from tenants.notifications import notify, register_topic
from tenants.permissions import allowed

TOPIC = "support"
PATH = "/settings/support/"
HOURS = (1, 4, 24)
ANSWERED_WITHIN = timedelta(days=7)
HIGH = 2

register_topic(TOPIC, label="Support access", words="Takt's staff ask to look into your factory.")


class SupportRefused(Exception):
    """What was asked for is not possible; the text is for people."""


# -- what can be asked


def requests_of(factory: Factory) -> QuerySet[SupportAccess]:
    """Return the visits of a factory that were asked for, newest first."""
    return (
        SupportAccess.objects.filter(factory=factory)
        .select_related("asked_by", "granted_by")
        .order_by("-asked_at", "pk")
    )


def visit(*, user_id: int | None, factory: Factory, at: datetime) -> SupportAccess | None:
    """Return the consent by which one of the staff may be in a factory's portal now."""
    return (
        SupportAccess.objects.filter(
            factory=factory,
            asked_by=user_id,
            asked_by__is_staff=True,
            asked_by__is_active=True,
            granted_at__isnull=False,
            until__gt=at,
            ended_at=None,
        )
        .select_related("asked_by", "granted_by")
        .first()
    )


def place_of(access: SupportAccess, factory: Factory) -> Membership:
    """Return the visitor's place in the factory: it is kept nowhere and lasts for a request."""
    return Membership(user=access.asked_by, factory=factory, role=access.role)


# -- what can happen


def ask(*, factory: Factory, by: User, reason: str, at: datetime) -> SupportAccess:
    """Ask the owners and admins of a factory to let one of the staff in; they are told.

    Raises:
        SupportRefused: no reason, no staff, or something is open already.
    """
    reason = " ".join(reason.replace("\x00", " ").split())[:500]
    if not by.is_staff:
        raise SupportRefused("Only Takt's staff ask for support access.")
    if not reason:
        raise SupportRefused("Say why: the factory's people decide by it.")
    end_lapsed(at=at)
    try:
        with transaction.atomic():
            access = SupportAccess.objects.create(
                factory=factory, asked_by=by, reason=reason, asked_at=at
            )
            _record("support.asked", access, by, reason=reason)
            _tell_managers(access, at)
    except IntegrityError:
        raise SupportRefused("You have asked already, or are let in.") from None
    return access


def _tell_managers(access: SupportAccess, at: datetime) -> None:
    managers = Membership.objects.filter(
        factory=access.factory, role__in=(Role.OWNER, Role.ADMIN)
    ).values_list("user_id", flat=True)
    notify(
        factory=access.factory,
        topic=TOPIC,
        severity=HIGH,
        subject=f"{access.asked_by} of Takt asks to look into {access.factory}",
        text=f"{access.reason}\n\nNobody of Takt sees your factory unless you allow it. Allow it "
        "for some hours, or decline. You can end it at any moment, and everything that is looked "
        "at is in your audit log.",
        path=PATH,
        key=f"support-{access.pk}",
        recipients=list(managers),
        at=at,
    )


def grant(
    *, access: SupportAccess, by: Membership, role: str, hours: int, at: datetime
) -> SupportAccess:
    """Let the person in who asked, for some hours.

    Raises:
        SupportRefused: not the granter's to decide, decided already, or role or hours are none.
    """
    _must_decide(access, by)
    if role not in SupportRole.values or hours not in HOURS:
        raise SupportRefused("Choose for how long, and what may be done.")
    until = at + timedelta(hours=hours)
    with transaction.atomic():
        n_granted = SupportAccess.objects.filter(
            pk=access.pk,
            granted_at=None,
            ended_at=None,
            asked_by__is_staff=True,
            asked_at__gt=at - ANSWERED_WITHIN,
        ).update(granted_by=by.user, granted_at=at, until=until, role=role)
        if not n_granted:
            raise SupportRefused("This was decided already, or is not asked for any more.")
        access.refresh_from_db()
        _record("support.granted", access, by.user, role=role, until=until.isoformat())
    _tell_visitor(access, f"You may look into {access.factory} until {until:%Y-%m-%d %H:%M} UTC.")
    return access


def decline(*, access: SupportAccess, by: Membership, at: datetime) -> None:
    """Say no to a request.

    Raises:
        SupportRefused: not the person's to decide, or decided already.
    """
    _must_decide(access, by)
    asked = SupportAccess.objects.filter(granted_at=None)
    if not _end(asked, access, SupportAccess.Ending.DECLINED, by=by.user, at=at):
        raise SupportRefused("This was decided already.")
    _tell_visitor(access, f"{access.factory} declined your request.")


def revoke(*, access: SupportAccess, by: Membership, at: datetime) -> None:
    """End a visit: the visitor's next request meets 404.

    Raises:
        SupportRefused: not the person's to decide, or over already.
    """
    _must_decide(access, by)
    granted = SupportAccess.objects.filter(granted_at__isnull=False)
    if not _end(granted, access, SupportAccess.Ending.REVOKED, by=by.user, at=at):
        raise SupportRefused("This visit is over already.")
    _tell_visitor(access, f"{access.factory} ended your visit.")


def end_lapsed(*, at: datetime) -> int:
    """Write down the end of what time, silence or leaving the staff has ended."""
    left = Q(asked_by__is_staff=False) | Q(asked_by__is_active=False)
    silent = Q(granted_at=None, asked_at__lte=at - ANSWERED_WITHIN)
    lapsed = SupportAccess.objects.filter(Q(until__lte=at) | left | silent, ended_at=None)
    n_ended = 0
    for access in lapsed.select_related("asked_by", "factory").order_by("asked_at", "pk"):
        ending = _ending_of(access, at)
        n_ended += _end(SupportAccess.objects.all(), access, ending, by=None, at=at)
    return n_ended


def _ending_of(access: SupportAccess, at: datetime) -> "SupportAccess.Ending":
    if access.until is not None and access.until <= at:
        return SupportAccess.Ending.TIME
    is_staff = access.asked_by.is_staff and access.asked_by.is_active
    return SupportAccess.Ending.UNANSWERED if is_staff else SupportAccess.Ending.LEFT


def _must_decide(access: SupportAccess, by: Membership) -> None:
    if by.factory_id != access.factory_id or not allowed(by.role, "members.manage"):
        raise SupportRefused("Owners and admins of the factory decide.")


def _end(
    rows: QuerySet[SupportAccess],
    access: SupportAccess,
    ending: "SupportAccess.Ending",
    *,
    by: User | None,
    at: datetime,
) -> bool:
    with transaction.atomic():
        n_ended = rows.filter(pk=access.pk, ended_at=None).update(ended_at=at, ending=ending)
        if n_ended:
            _record("support.ended", access, by, how=ending.value)
    return bool(n_ended)


def _tell_visitor(access: SupportAccess, words: str) -> None:
    send_mail(
        subject=f"Support access to {access.factory}",
        message=f"{words}\n\nYou asked: {access.reason}",
        from_email=None,
        recipient_list=[access.asked_by.email],
        fail_silently=True,
    )


# -- the trace


def record_step(access: SupportAccess, *, method: str, route: str, ids: dict[str, Any]) -> None:
    """Write one request of a visitor into the factory's audit log: what, never its content."""
    reads = method in ("GET", "HEAD", "OPTIONS")
    audit.record(
        action="support.viewed" if reads else "support.changed",
        actor=access.asked_by,
        target=route[:200],
        detail={"method": method, **{name: str(value)[:100] for name, value in ids.items()}},
        factory=access.factory,
    )


def _record(action: str, access: SupportAccess, by: User | None, **detail: str) -> None:
    audit.record(
        action=action,
        actor=by,
        target=access.asked_by.email,
        detail=detail,
        factory=access.factory,
    )
