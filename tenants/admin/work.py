"""Jobs, keys and messages: whether they work, not what they say."""

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from tenants import audit, jobs
from tenants.admin.records import Records
from tenants.models import Credential, Delivery, Job, OutgoingMail, User
from tenants.notifications import delivering, endpoints
from tenants.requests import staff_of


@admin.register(Job)
class JobRecords(Records):
    list_display = ("task", "factory", "state", "n_attempts", "created_at", "finished_at")
    list_filter = ("state", "queue")
    list_select_related = ("factory",)
    search_fields = ("task", "error", "factory__name", "factory__schema_name")
    ordering = ("-created_at", "pk")
    actions = ("run_again",)
    fields = (
        "id", "task", "factory", "kwargs", "queue", "key", "state", "progress", "message", "error",
        "n_attempts", "created_at", "not_before", "started_at", "heartbeat_at", "finished_at",
    )  # fmt: skip

    @admin.action(description="Run again")
    def run_again(self, request: HttpRequest, chosen: "QuerySet[Job]") -> None:
        """Give jobs that were refused or given up another five tries."""
        ended = chosen.filter(state__in=(Job.State.DEAD, Job.State.FAILED))
        by = staff_of(request)
        n_revived = sum(_run_again(job, by) for job in ended.select_related("factory"))
        messages.info(request, f"{n_revived} of the chosen jobs run again.")


def _run_again(job: Job, by: User) -> bool:
    try:
        with transaction.atomic():
            jobs.replay(job)
            audit.record(
                action="staff.job_run_again",
                actor=by,
                target=job.task,
                detail={"job": str(job.pk)},
                factory=job.factory,
            )
    except IntegrityError:
        return False  # the same work was queued anew meanwhile
    return True


@admin.register(Credential)
class CredentialRecords(Records):
    list_display = ("hint", "kind", "factory", "device_id", "created_at", "revoked_at")
    list_filter = ("kind",)
    list_select_related = ("factory",)
    search_fields = ("hint", "factory__name", "factory__schema_name")
    ordering = ("-pk",)
    fields = ("hint", "kind", "factory", "device_id", "created_at", "expires_at", "revoked_at")


@admin.register(Delivery)
class DeliveryRecords(Records):
    list_display = ("topic", "factory", "channel", "state", "n_attempts", "next_at", "sent_at")
    list_filter = ("state", "channel")
    list_select_related = ("notification", "factory")
    search_fields = ("notification__topic", "last_error", "factory__name", "factory__schema_name")
    ordering = ("-notification__at", "pk")
    actions = ("send_again",)
    fields = (
        "topic", "factory", "channel", "state", "n_attempts", "next_at", "sent_at", "read_at",
        "last_error", "response_status",
    )  # fmt: skip

    @admin.display()
    def topic(self, delivery: Delivery) -> str:
        return delivery.notification.topic

    @admin.action(description="Send again")
    def send_again(self, request: HttpRequest, chosen: "QuerySet[Delivery]") -> None:
        """Give deliveries that failed another ten tries."""
        n_planned = 0
        for delivery in chosen.select_related("factory", "endpoint"):
            try:
                is_planned = delivering.replay(delivery=delivery, at=timezone.now())
            except endpoints.EndpointOff:
                continue
            if is_planned:
                audit.record(
                    action="staff.sent_again",
                    actor=staff_of(request),
                    target=delivery.get_channel_display(),
                    detail={"delivery": str(delivery.pk)},
                    factory=delivery.factory,
                )
                n_planned += 1
        messages.info(request, f"{n_planned} of the chosen messages are on their way again.")


@admin.register(OutgoingMail)
class MailRecords(Records):
    """Kept instead of sent, where there is no mail server. Letters hold links that sign in."""

    list_display = ("created_at", "to")
    search_fields = ("to",)
    ordering = ("-pk",)
    fields = ("created_at", "to")
