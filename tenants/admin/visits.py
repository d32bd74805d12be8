"""Support access: asked for here, decided in the factory's portal."""

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from tenants.admin.records import Records
from tenants.models import SupportAccess


@admin.register(SupportAccess)
class SupportRecords(Records):
    list_display = ("factory", "asked_by", "asked_at", "role", "until", "ending", "enter")
    list_filter = ("ending",)
    list_select_related = ("factory", "asked_by")
    search_fields = ("factory__name", "factory__schema_name", "asked_by__email", "reason")
    ordering = ("-asked_at", "pk")
    fields = (
        "factory", "asked_by", "reason", "asked_at", "granted_by", "granted_at", "role", "until",
        "ended_at", "ending",
    )  # fmt: skip

    @admin.display(description="")
    def enter(self, access: SupportAccess) -> str:
        if not access.is_running(timezone.now()):
            return ""
        return format_html(
            '<a href="{}">Enter</a>', reverse("to-factory", args=[access.factory.schema_name])
        )
