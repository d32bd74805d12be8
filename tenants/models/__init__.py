"""What can exist in the public schema about customers, people, keys and their work."""

from tenants.models.access import Credential, FactoryLimits, Ticket
from tenants.models.audit import AuditEntry
from tenants.models.claims import ClaimCode, ClaimGuesses
from tenants.models.factory import Domain, Factory
from tenants.models.jobs import Job
from tenants.models.mail import OutgoingMail
from tenants.models.notifications import (
    Delivery,
    Notification,
    NotificationPreference,
    QuietHours,
    WebhookEndpoint,
)
from tenants.models.people import Invitation, Membership, Role, User
from tenants.models.support import SupportAccess, SupportRole

__all__ = [
    "AuditEntry",
    "ClaimCode",
    "ClaimGuesses",
    "Credential",
    "Delivery",
    "Domain",
    "Factory",
    "FactoryLimits",
    "Invitation",
    "Job",
    "Membership",
    "Notification",
    "NotificationPreference",
    "OutgoingMail",
    "QuietHours",
    "Role",
    "SupportAccess",
    "SupportRole",
    "Ticket",
    "User",
    "WebhookEndpoint",
]
