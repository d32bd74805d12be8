"""What Stripe delivered; what could not be applied is put in again here."""

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from billing import services
from billing.models import BillingAccount, InboxEvent
from tenants import audit
from tenants.admin.records import Records
from tenants.models import Factory, User
from tenants.requests import staff_of


@admin.register(InboxEvent)
class InboxRecords(Records):
    list_display = ("event_id", "kind", "state", "n_attempts", "received_at", "finished_at")
    list_filter = ("state", "kind")
    search_fields = ("event_id", "kind", "error")
    ordering = ("-received_at", "pk")
    actions = ("replay",)
    fields = (
        "event_id", "kind", "state", "n_attempts", "error", "received_at", "finished_at",
        "payload",
    )  # fmt: skip

    @admin.action(description="Apply again")
    def replay(self, request: HttpRequest, chosen: "QuerySet[InboxEvent]") -> None:
        """Give dead letters another round of tries."""
        by, n_replayed = staff_of(request), 0
        for event in chosen.filter(state=InboxEvent.State.DEAD):
            _replay(event, by)
            n_replayed += 1
        messages.info(request, f"{n_replayed} of the chosen events are applied again.")


@transaction.atomic
def _replay(event: InboxEvent, by: User) -> None:
    services.replay_event(event_id=event.pk)
    audit.record(
        action="staff.event_replayed",
        actor=by,
        target=event.kind,
        detail={"event": event.event_id},
        factory=_factory_of(event),
    )


def _factory_of(event: InboxEvent) -> Factory | None:
    """Return the factory whose customer an event speaks of, if it is one of ours."""
    customer = event.payload.get("data", {}).get("object", {}).get("customer")
    account = BillingAccount.objects.select_related("factory").filter(
        stripe_customer_id=customer, stripe_customer_id__isnull=False
    )
    found = account.first()
    return found.factory if found else None
