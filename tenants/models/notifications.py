"""What people and their systems are told: written once, delivered by channel, until it arrived."""

import uuid

from django.db import models

from tenants.models.people import User


class Notification(models.Model):
    """Something that happened in a factory and that somebody should know; once a key."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    topic = models.CharField(max_length=40)
    severity = models.PositiveSmallIntegerField()  # 1 critical .. 4 low
    subject = models.CharField(max_length=200)
    text = models.TextField()
    path = models.CharField(max_length=500)  # a page on the factory's host
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["factory", "key"], name="one_notification_a_key"),
            models.CheckConstraint(
                condition=models.Q(severity__range=(1, 4)), name="notification_severity_is_known"
            ),
        ]
        indexes = [models.Index(fields=["at"], name="notifications_by_age")]

    def __str__(self) -> str:
        return self.subject


class WebhookEndpoint(models.Model):
    """An address of the factory's own that hears of what happens, each message signed.

    The signing secrets are sealed (tenants.notifications.secrets); while one is rotated, the
    one before stays valid until `previous_until`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=500)
    topics = models.JSONField(default=list)  # none: everything
    sealed_secret = models.CharField(max_length=300)
    sealed_previous = models.CharField(max_length=300, blank=True)
    previous_until = models.DateTimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.url


class Delivery(models.Model):
    """One notification on its way to one person or one endpoint.

    While it is open, `next_at` says from when a worker may take it. Taking it moves `next_at` on
    by a lease, so one worker has it, and another finds it again if that one dies.
    """

    class Channel(models.TextChoices):
        MAIL = "mail", "E-mail"
        WEBHOOK = "webhook", "Webhook"
        INBOX = "inbox", "In Takt"

    class State(models.TextChoices):
        PLANNED = "planned", "On its way"
        SENT = "sent", "Delivered"
        FAILED = "failed", "Tried, will be tried again"
        HELD = "held", "Held until quiet hours end"
        DEAD = "dead", "Given up"

    OPEN_STATES = (State.PLANNED, State.FAILED, State.HELD)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    notification = models.ForeignKey(
        Notification, on_delete=models.CASCADE, related_name="deliveries"
    )
    # As in the notification: the inbox and the sweeper ask by factory, without a join.
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    channel = models.CharField(max_length=7, choices=Channel.choices)
    user = models.ForeignKey(
        User, null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, null=True, blank=True, on_delete=models.CASCADE, related_name="deliveries"
    )
    state = models.CharField(max_length=7, choices=State.choices, default=State.PLANNED)
    in_digest = models.BooleanField(default=False)  # held: it goes out in one mail with others
    n_attempts = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)  # in the inbox
    last_error = models.CharField(max_length=300, blank=True)
    response_status = models.PositiveSmallIntegerField(null=True, blank=True)
    response_text = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(channel="webhook", endpoint__isnull=False, user__isnull=True)
                | models.Q(
                    channel__in=("mail", "inbox"), endpoint__isnull=True, user__isnull=False
                ),
                name="delivery_goes_to_a_person_or_an_endpoint",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(state__in=("planned", "failed", "held")),
                name="open_deliveries",
            ),
            models.Index(
                fields=["user", "factory"],
                condition=models.Q(channel="inbox", read_at__isnull=True),
                name="unread_deliveries",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} ({self.state})"


class NotificationPreference(models.Model):
    """From which severity on a person is told of a topic, by channel; 0 is never.

    The topic "" stands for every topic without a row of its own.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    topic = models.CharField(max_length=40, blank=True)
    mail_least = models.PositiveSmallIntegerField()
    inbox_least = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "factory", "topic"], name="one_preference_a_topic"
            ),
            models.CheckConstraint(
                condition=models.Q(mail_least__range=(0, 4), inbox_least__range=(0, 4)),
                name="preference_names_a_severity",
            ),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} about {self.topic or 'everything'}"


class QuietHours(models.Model):
    """When a person gets no mail of a factory: a span of each day, and whole days of the week."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    factory = models.ForeignKey("tenants.Factory", on_delete=models.CASCADE, related_name="+")
    starts = models.TimeField(null=True, blank=True)
    ends = models.TimeField(null=True, blank=True)  # not after `starts`: on the next day
    quiet_days = models.JSONField(default=list)  # 0 is Monday
    time_zone = models.CharField(max_length=64, blank=True)  # "": the factory's
    critical_breaks_through = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "factory"], name="one_quiet_hours_a_person"),
            models.CheckConstraint(
                condition=models.Q(starts__isnull=True, ends__isnull=True)
                | models.Q(starts__isnull=False, ends__isnull=False),
                name="quiet_hours_start_and_end",
            ),
        ]

    def __str__(self) -> str:
        return f"quiet hours of user {self.user_id}"
