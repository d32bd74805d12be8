from django.db import models


class OutgoingMail(models.Model):
    """A mail kept instead of sent, where an installation has no mail server (local only)."""

    to = models.CharField(max_length=500)
    subject = models.CharField(max_length=300)
    body = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.subject} to {self.to}"
