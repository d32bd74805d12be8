"""Members, roles and audit entries in words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from tenants import people
from tenants.models import AuditEntry, Membership, Role

ROLE_WORDS = {
    Role.OWNER: "Everything, also to close the factory.",
    Role.ADMIN: "People, plan and bill, keys, audit, and all that engineers may.",
    Role.ENGINEER: "Connect machines, name signals, train models, and all that operators may.",
    Role.OPERATOR: "See everything on the floor, say why a machine stood.",
    Role.VIEWER: "See everything on the floor, change nothing.",
}
ACTION_WORDS = {
    "sign_in": "Signed in",
    "sign_in_failed": "Failed to sign in",
    "factory.requested": "Asked for the factory",
    "factory.removed": "Removed the factory",
    "member.role_set": "Gave a role",
    "member.invited": "Invited",
    "member.joined": "Joined",
    "member.removed": "Removed a member",
    "device.created": "Connected a device",
    "device.changed": "Changed a device",
    "device.token_added": "Made a device key",
    "device.token_revoked": "Ended a device key",
    "export.requested": "Asked for an export",
    "export.cancelled": "Cancelled an export",
    "export.downloaded": "Downloaded an export",
    "device.retired": "Retired a device",
    "devices.imported": "Imported devices",
    "claim_code.made": "Made a claim code",
    "claim_code.revoked": "Ended a claim code",
    "signal.described": "Described a signal",
    "api_key.made": "Made an API key",
    "api_key.ended": "Ended an API key",
    "signals.named": "Named signals",
    "support.asked": "Asked for support access",
    "support.granted": "Allowed support access",
    "support.ended": "Ended support access",
    "support.viewed": "Support looked at",
    "support.changed": "Support changed",
    "staff.job_run_again": "Takt ran a job again",
    "staff.sent_again": "Takt sent a message again",
    "staff.usage_sent_again": "Takt sent usage to Stripe again",
    "staff.event_replayed": "Takt applied a message of Stripe again",
    "billing.credited": "Takt gave money back",
    "plan.changed": "Changed the plan",
}


@dataclass(frozen=True)
class Member:
    id: int
    name: str
    email: str
    role: str
    role_words: str
    since: datetime
    is_you: bool
    remove_url: str


@dataclass(frozen=True)
class RoleRow:
    label: str
    words: str


@dataclass(frozen=True)
class AuditRow:
    at: datetime
    who: str
    what: str
    about: str


def rows(memberships: Iterable[Membership], *, reader: Membership) -> list[Member]:
    return [
        Member(
            id=membership.pk,
            name=str(membership.user),
            email=membership.user.email,
            role=membership.role,
            role_words=membership.get_role_display(),
            since=membership.created_at,
            is_you=membership.pk == reader.pk,
            remove_url=reverse("frontend:member-remove", args=[membership.pk]),
        )
        for membership in memberships
    ]


def grantable(reader: Membership) -> list[tuple[str, str]]:
    """Return the roles that a member may give: only an owner makes an owner."""
    return [
        (value, label)
        for value, label in Role.choices
        if value != Role.OWNER or reader.role == Role.OWNER
    ]


def role_words() -> list[RoleRow]:
    return [RoleRow(Role(role).label, words) for role, words in ROLE_WORDS.items()]


def refusal_words(refusal: Exception) -> str:
    if isinstance(refusal, people.LastOwner):
        return "A factory keeps at least one owner. Make someone else an owner first."
    return "Only an owner makes or unmakes an owner."


def audit_row(entry: AuditEntry) -> AuditRow:
    known = entry.action.replace(".", " ").replace("_", " ").capitalize()
    detail = ", ".join(f"{key} {value}" for key, value in entry.detail.items())
    about = " · ".join(part for part in (entry.target, detail) if part)
    return AuditRow(entry.at, entry.actor_name, ACTION_WORDS.get(entry.action, known), about)
