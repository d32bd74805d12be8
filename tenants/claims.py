"""Claim codes: typed into a gateway, they make it a device of the factory that made them.

A code is eight random characters and a check, drawn from 31 that nobody confuses (no 0, O, 1, I,
L): 31^8, about 8.5 * 10^11 codes. Who guesses is stopped long before: an address gets 10 tries in
vain an hour, everybody together 500. So a guesser against 1,000 open codes succeeds within an
hour once in 1.7 million times, and learns nothing from a refusal, which is the same for all.
"""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.utils.crypto import salted_hmac

from tenants import audit
from tenants.models import ClaimCode, ClaimGuesses, Factory, User

ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
N_RANDOM = 8
VALID_FOR = timedelta(hours=24)
MAX_USES = 200
MAX_OPEN_CODES = 100
GUESSES_AN_ADDRESS = 10
GUESSES_IN_ALL = 500
_EVERYBODY = ""


class CodeRefused(Exception):
    """The code is unknown, mistyped, used up, revoked or too old; nobody is told which."""


class TooManyCodes(Exception):
    """The factory has as many open codes as one may have."""


@dataclass
class TooManyGuesses(Exception):
    """Too many codes were tried in vain, from this address or from everywhere."""

    retry_after_s: int


def check_character(text: str) -> str:
    """Return the check of a code's random part.

    The sum of place times value modulo 31: a prime above every place, so one wrong character and
    two swapped ones are always noticed (the scheme of ISBN-10, ISO 2108).
    """
    total = sum(place * ALPHABET.index(char) for place, char in enumerate(text, 1))
    return ALPHABET[total % len(ALPHABET)]


def plain(code: str) -> str:
    """Return a code as it was made: capitals, without spaces and dashes.

    Raises:
        CodeRefused: it cannot be a code; a mistyped one mostly ends here.
    """
    text = "".join(char for char in code.upper() if char not in " -\t\r\n")
    is_code = len(text) == N_RANDOM + 1 and all(char in ALPHABET for char in text)
    if not is_code or check_character(text[:-1]) != text[-1]:
        raise CodeRefused
    return text


def _digest(text: str) -> bytes:
    return salted_hmac("tenants.claims", text, algorithm="sha256").digest()


def open_codes(factory: Factory, *, at: datetime) -> QuerySet[ClaimCode]:
    """Return the codes that a gateway could still use, newest first."""
    rows = ClaimCode.objects.filter(factory=factory, revoked_at=None, expires_at__gt=at)
    return rows.filter(n_used__lt=F("max_uses")).order_by("-created_at", "-pk")


def codes(factory: Factory) -> QuerySet[ClaimCode]:
    """Return all codes of a factory, newest first."""
    rows = ClaimCode.objects.filter(factory=factory).select_related("created_by")
    return rows.order_by("-created_at", "-pk")


@transaction.atomic
def make(
    *,
    factory: Factory,
    at: datetime,
    by: User | None,
    max_uses: int = 1,
    group: str = "",
    note: str = "",
) -> tuple[ClaimCode, str]:
    """Make a code and return it as people type it, for the only time.

    Raises:
        TooManyCodes: 100 are open.
        ValueError: `max_uses` is not between 1 and 200.
    """
    if not 1 <= max_uses <= MAX_USES:
        raise ValueError(f"max_uses must be between 1 and {MAX_USES}")
    if open_codes(factory, at=at).count() >= MAX_OPEN_CODES:
        raise TooManyCodes
    text = "".join(secrets.choice(ALPHABET) for _ in range(N_RANDOM))
    text += check_character(text)
    row = ClaimCode.objects.create(
        factory=factory, digest=_digest(text), hint=text[:3], group=group, note=note,
        max_uses=max_uses, created_by=by, created_at=at, expires_at=at + VALID_FOR,
    )  # fmt: skip
    detail = {"hint": row.hint, "max_uses": max_uses, "group": group}
    _record("claim_code.made", row, by, detail)
    return row, "-".join(text[i : i + 3] for i in range(0, len(text), 3))


@transaction.atomic
def revoke(*, factory: Factory, code_id: int, at: datetime, by: User | None) -> bool:
    """End a code at once; False where there was none to end."""
    row = ClaimCode.objects.filter(pk=code_id, factory=factory, revoked_at=None).first()
    if row is None or not ClaimCode.objects.filter(pk=row.pk, revoked_at=None).update(
        revoked_at=at
    ):
        return False
    _record("claim_code.revoked", row, by, {"hint": row.hint})
    return True


def use(*, code: str, at: datetime) -> ClaimCode:
    """Use a code once, in the caller's transaction, and return it with its factory.

    Raises:
        CodeRefused: there is no such code, or it can be used no more.
    """
    digest = _digest(plain(code))
    usable = ClaimCode.objects.filter(
        digest=digest,
        revoked_at=None,
        expires_at__gt=at,
        n_used__lt=F("max_uses"),
        factory__state=Factory.State.ACTIVE,
    ).exclude(factory__limits__read_only=True)
    # The condition stands in the update: of two gateways with one code, one is second.
    if not usable.update(n_used=F("n_used") + 1):
        raise CodeRefused
    return ClaimCode.objects.select_related("factory").get(digest=digest)


def reserve_guess(*, address: str, at: datetime) -> None:
    """Count a try before it is made, so that many at once are counted too.

    Raises:
        TooManyGuesses: nothing is tried; the exception says when to come again.
    """
    hour = at.replace(minute=0, second=0, microsecond=0)
    with transaction.atomic():
        for who, most in ((_EVERYBODY, GUESSES_IN_ALL), (network(address), GUESSES_AN_ADDRESS)):
            if not _count(who, hour, most):
                transaction.set_rollback(True)
                break
        else:
            return
    raise TooManyGuesses(int((hour + timedelta(hours=1) - at).total_seconds()) + 1)


def forgive_guess(*, address: str, at: datetime) -> None:
    """Take back what `reserve_guess` counted: the code was right."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    ClaimGuesses.objects.filter(
        address__in=[_EVERYBODY, network(address)], hour=hour, n__gt=0
    ).update(n=F("n") - 1)


def _count(who: str, hour: datetime, most: int) -> bool:
    """Add one to a count unless it has reached `most`, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO tenants_claimguesses AS g (address, hour, n) VALUES (%s, %s, 1)
            ON CONFLICT (address, hour) DO UPDATE SET n = g.n + 1 WHERE g.n < %s
            RETURNING n
            """,
            [who, hour, most],
        )
        return cursor.fetchone() is not None


def network(address: str) -> str:
    """Return what counts as one guesser: an IPv4 address, or a /64 of IPv6, which is one line."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def forget_guesses(*, before: datetime) -> None:
    """Remove counts of hours that are over."""
    ClaimGuesses.objects.filter(hour__lt=before).delete()


def _record(action: str, row: ClaimCode, by: User | None, detail: dict[str, object]) -> None:
    audit.record(
        action=action, actor=by, target=f"claim_code:{row.pk}", detail=detail, factory=row.factory
    )
