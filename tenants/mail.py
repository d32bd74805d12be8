"""Mail for an installation without a mail server: printed to the log and kept on a page."""

from collections.abc import Sequence

import structlog
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from tenants.models import OutgoingMail

log = structlog.get_logger()


class MailboxBackend(BaseEmailBackend):
    """Keeps each mail in the table behind the mailbox page."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            OutgoingMail.objects.create(
                to=", ".join(message.recipients())[:500],
                subject=message.subject[:300],
                body=str(message.body),
            )
            log.info("mail.kept", subject=message.subject)
        return len(email_messages)
