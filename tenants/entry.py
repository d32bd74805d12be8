"""From the public host, where people sign in, to a factory's host: a ticket, used once."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from tenants import audit, names, support
from tenants.models import Factory, Membership, Ticket, User

VALID_FOR = timedelta(seconds=30)


class TicketRefused(Exception):
    """The ticket is unknown, used, too old, or for another factory."""


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def safe_path(path: str) -> str:
    """Return a path of our own host, or the front page for anything else."""
    ours = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if ours and len(path) <= 500 else "/"


def portal_url(factory: Factory, path: str = "/") -> str:
    """Return the address of a page of a factory's portal."""
    label = names.host_label(factory.schema_name)
    return f"https://{label}.{settings.BASE_HOST}{settings.PORT_SUFFIX}{path}"


def issue_ticket(
    *, user: User, factory: Factory, session_key: str, next_path: str, at: datetime
) -> str:
    """Return the address on the factory's host that signs this person in there, once.

    Raises:
        Membership.DoesNotExist: the person is neither a member nor a visitor with consent.
    """
    is_member = Membership.objects.filter(user=user, factory=factory).exists()
    if not is_member and support.visit(user_id=user.pk, factory=factory, at=at) is None:
        raise Membership.DoesNotExist
    token = secrets.token_urlsafe(32)
    Ticket.objects.create(
        digest=_digest(token),
        user=user,
        factory=factory,
        next_path=safe_path(next_path),
        origin_session_key=session_key,
        expires_at=at + VALID_FOR,
    )
    return portal_url(factory, "/enter/?" + urlencode({"ticket": token}))


def redeem_ticket(*, token: str, factory: Factory, at: datetime) -> Ticket:
    """Use a ticket up and return it.

    Raises:
        TicketRefused: it is not one of this factory's that is still good.
    """
    with transaction.atomic():
        n_used = Ticket.objects.filter(
            digest=_digest(token), factory=factory, used_at=None, expires_at__gt=at
        ).update(used_at=at)
        if not n_used:
            raise TicketRefused
        ticket = Ticket.objects.select_related("user").get(digest=_digest(token))
        if not session_lives(ticket.origin_session_key, at=at):
            raise TicketRefused
        audit.record(action="sign_in", actor=ticket.user, target="portal", factory=factory)
    return ticket


def session_lives(session_key: str, *, at: datetime) -> bool:
    """Say whether a session on the public host is still open."""
    return Session.objects.filter(session_key=session_key, expire_date__gt=at).exists()


def end_session(session_key: str) -> None:
    """Sign out on the public host; every factory's host follows with the next request."""
    Session.objects.filter(session_key=session_key).delete()
