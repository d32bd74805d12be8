"""Members and invitations of a factory."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet

from tenants import audit, limits
from tenants.models import Factory, Invitation, Membership, Role, User

INVITATION_VALID_FOR = timedelta(days=7)


class InvitationRefused(Exception):
    """The invitation is unknown, used, too old, or for another address."""


class LastOwner(Exception):
    """A factory keeps at least one owner."""


class OwnersOnly(Exception):
    """Only an owner makes or unmakes an owner."""


class TooManyPeople(Exception):
    """The plan has no room for another person."""

    def __init__(self, max_people: int) -> None:
        super().__init__(
            f"Your plan covers {max_people} people, open invitations included. A larger plan makes"
            " room."
        )
        self.max_people = max_people


def members(factory: Factory) -> QuerySet[Membership]:
    """Return who belongs to a factory, with the person at hand."""
    return Membership.objects.filter(factory=factory).select_related("user").order_by("user__email")


def open_invitations(factory: Factory, *, at: datetime) -> QuerySet[Invitation]:
    return Invitation.objects.filter(factory=factory, accepted_at=None, expires_at__gt=at).order_by(
        "-created_at", "pk"
    )


def factories_of(user: User) -> QuerySet[Membership]:
    """Return a person's memberships with their factories, by name."""
    return (
        Membership.objects.filter(user=user)
        .select_related("factory")
        .order_by("factory__name", "pk")
    )


def _may_grant(actor: Membership, *roles: str) -> None:
    if Role.OWNER in roles and actor.role != Role.OWNER:
        raise OwnersOnly


def _check_room(factory: Factory, email: str, *, at: datetime) -> None:
    """Refuse a further person where the plan has no room, in the caller's transaction.

    Who belongs to the factory already, or has an open invitation, takes no further place.
    """
    most = limits.locked(factory).max_people
    if most is None:
        return
    joined = members(factory).values_list("user__email", flat=True)
    invited = open_invitations(factory, at=at).values_list("email", flat=True)
    people = {*map(str.lower, joined), *map(str.lower, invited)}
    if len(people | {email.lower()}) > most:
        raise TooManyPeople(most)


def invite(*, factory: Factory, email: str, role: str, actor: Membership, at: datetime) -> None:
    """Send a letter with a link that makes its reader a member, once.

    Raises:
        OwnersOnly: the role is owner and the actor is not one.
        TooManyPeople: the plan has no room.
    """
    _may_grant(actor, role)
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        _check_room(factory, email, at=at)
        Invitation.objects.create(
            factory=factory,
            email=email.lower(),
            role=role,
            invited_by=actor.user,
            token_digest=hashlib.sha256(token.encode()).digest(),
            expires_at=at + INVITATION_VALID_FOR,
        )
        audit.record(
            action="member.invited",
            actor=actor.user,
            target=email.lower(),
            detail={"role": role},
            factory=factory,
        )
    send_mail(
        subject=f"{actor.user} invites you to {factory.name} on Takt",
        message=(
            f"{actor.user} would like you to join {factory.name} as {Role(role).label.lower()}.\n\n"
            f"Open this link within 7 days:\n{settings.BASE_URL}/invitations/{token}/\n\n"
            "If you do not know this person, do nothing."
        ),
        from_email=None,
        recipient_list=[email],
        fail_silently=True,
    )


def _check_place(factory: Factory, user: User) -> None:
    """Refuse a further member where there are as many as the plan covers."""
    most = limits.locked(factory).max_people
    others = Membership.objects.filter(factory=factory).exclude(user=user)
    if most is not None and others.count() >= most:
        raise TooManyPeople(most)


def accept_invitation(*, token: str, user: User, at: datetime) -> Membership:
    """Make the signed-in reader of an invitation a member.

    Raises:
        InvitationRefused: not open, or written to another address.
        TooManyPeople: the plan has become too small meanwhile; the invitation stays open.
    """
    digest = hashlib.sha256(token.encode()).digest()
    with transaction.atomic():
        invitation = (
            Invitation.objects.select_related("factory")
            .filter(token_digest=digest, accepted_at=None, expires_at__gt=at)
            .first()
        )
        if invitation is None or invitation.email.lower() != user.email.lower():
            raise InvitationRefused
        n_claimed = Invitation.objects.filter(pk=invitation.pk, accepted_at=None).update(
            accepted_at=at
        )
        if not n_claimed:
            raise InvitationRefused
        _check_place(invitation.factory, user)
        membership, _ = Membership.objects.get_or_create(
            user=user, factory=invitation.factory, defaults={"role": invitation.role}
        )
        audit.record(
            action="member.joined",
            actor=user,
            target=user.email,
            detail={"role": membership.role},
            factory=invitation.factory,
        )
    return membership


def _keep_an_owner(membership: Membership) -> None:
    owners = Membership.objects.select_for_update().filter(
        factory_id=membership.factory_id, role=Role.OWNER
    )
    if membership.role == Role.OWNER and len(owners) < 2:
        raise LastOwner


def change_role(*, membership_id: int, factory: Factory, role: str, actor: Membership) -> None:
    """Give a member another role.

    Raises:
        Membership.DoesNotExist: no such member of this factory.
        OwnersOnly: the old or new role is owner and the actor is not one.
        LastOwner: nobody would own the factory.
    """
    with transaction.atomic():
        membership = Membership.objects.select_related("user").get(
            pk=membership_id, factory=factory
        )
        _may_grant(actor, role, membership.role)
        if role != Role.OWNER:
            _keep_an_owner(membership)
        Membership.objects.filter(pk=membership.pk).update(role=role)
        audit.record(
            action="member.role_set",
            actor=actor.user,
            target=membership.user.email,
            detail={"from": membership.role, "to": role},
            factory=factory,
        )


def remove_member(*, membership_id: int, factory: Factory, actor: Membership) -> None:
    """End a membership; the next request of that person meets 404.

    Raises:
        Membership.DoesNotExist, OwnersOnly, LastOwner: as in `change_role`.
    """
    with transaction.atomic():
        membership = Membership.objects.select_related("user").get(
            pk=membership_id, factory=factory
        )
        _may_grant(actor, membership.role)
        _keep_an_owner(membership)
        membership.delete()
        audit.record(
            action="member.removed",
            actor=actor.user,
            target=membership.user.email,
            factory=factory,
        )
