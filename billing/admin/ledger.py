"""What was counted, whether Stripe was told, and what the nightly proof found."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet, Sum
from django.http import HttpRequest, HttpResponse

from billing.models import Adjustment, LedgerDelivery, LedgerEntry, ProofLine, ProofRun
from billing.money import money
from billing.services.sending_again import send_again
from tenants.admin.records import Records, Rows
from tenants.requests import staff_of

_ACCOUNT = ("account__name", "account__factory__schema_name")


@admin.register(LedgerEntry)
class LedgerRecords(Records):
    """The rows of one account, meter or month, with their sums."""

    list_display = ("account", "meter", "hour", "quantity", "revision", "reason", "billed_hour")
    list_filter = ("meter", "reason")
    list_select_related = ("account",)
    date_hierarchy = "billed_hour"
    search_fields = ("identifier", *_ACCOUNT)
    ordering = ("-pk",)
    fields = (
        "account", "meter", "hour", "billed_hour", "quantity", "revision", "reason", "identifier",
        "written_at",
    )  # fmt: skip

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        answer = super().changelist_view(request, extra_context)
        context = getattr(answer, "context_data", None) or {}
        if "cl" in context:
            rows = context["cl"].queryset.order_by().values("meter").annotate(sum=Sum("quantity"))
            context["sums"] = rows.order_by("meter")
        return answer


@admin.register(LedgerDelivery)
class DeliveryRecords(Records):
    list_display = ("entry", "account", "state", "n_attempts", "sent_at", "error")
    list_filter = ("state",)
    list_select_related = ("entry", "account")
    search_fields = ("entry__identifier", "error", *_ACCOUNT)
    ordering = ("-pk",)
    actions = ("send_again",)
    fields = (
        "entry",
        "account",
        "state",
        "counted_at",
        "sent_at",
        "n_attempts",
        "n_resent",
        "error",
    )

    @admin.action(description="Send again")
    def send_again(self, request: HttpRequest, chosen: "QuerySet[LedgerDelivery]") -> None:
        """Have Stripe told of rows that it refused."""
        ids = chosen.values_list("pk", flat=True)
        n_sent = send_again(entry_ids=ids, by=staff_of(request))
        messages.info(request, f"{n_sent} of the chosen rows are sent with the next report.")


@admin.register(Adjustment)
class AdjustmentRecords(Records):
    list_display = ("account", "kind", "period_start", "amount", "sent_at", "error")
    list_filter = ("kind",)
    list_select_related = ("account",)
    search_fields = ("identifier", "description", *_ACCOUNT)
    ordering = ("-pk",)
    fields = (
        "account", "kind", "period_start", "period_end", "amount", "description", "detail",
        "identifier", "written_at", "stripe_item_id", "sent_at", "n_attempts", "error",
    )  # fmt: skip

    @admin.display(ordering="amount_minor")
    def amount(self, row: Adjustment) -> str:
        return money(row.amount_minor, row.currency)


class DifferencesOfRun(Rows):
    model = ProofLine
    fields = readonly_fields = ("account", "month", "n_differences", "n_repaired", "error")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ProofLine]":
        """Leave out where nothing differs: that is a line an account."""
        rows = ProofLine.objects.select_related("account").exclude(n_differences=0, error="")
        return rows.order_by("account__name", "pk")


@admin.register(ProofRun)
class ProofRecords(Records):
    list_display = (
        "started_at", "finished_at", "n_accounts", "n_sums", "n_differences", "n_repaired",
        "n_failed",
    )  # fmt: skip
    search_fields = ("lines__account__name", "lines__account__factory__schema_name")
    ordering = ("-started_at", "pk")
    inlines = (DifferencesOfRun,)
    fields = list_display


@admin.register(ProofLine)
class ProofLineRecords(Records):
    list_display = ("run", "account", "month", "n_sums", "n_differences", "n_repaired", "error")
    list_select_related = ("run", "account")
    search_fields = _ACCOUNT
    ordering = ("-pk",)
    fields = (*list_display, "differences")
