"""What can exist in the public schema about customers, people, keys and their work."""

from tenants.models.access import Credential, FactoryLimits, Meter, Ticket
from tenants.models.audit import AuditEntry
from tenants.models.claims import ClaimCode, ClaimGuesses
from tenants.models.factory import Domain, Factory
from tenants.models.jobs import Job
from tenants.models.leaving import Departure, MonthlyUse
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
    "Departure",
    "Domain",
    "Factory",
    "FactoryLimits",
    "Invitation",
    "Job",
    "Membership",
    "Meter",
    "MonthlyUse",
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
