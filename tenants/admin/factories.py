"""Factories, their people and what was done in them."""

from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from tenants import schema, support
from tenants.admin.records import Records, Rows
from tenants.models import AuditEntry, Factory, Membership, User
from tenants.requests import staff_of

# Of a factory's own acts staff see who did what and when; to what, only of these.
_ABOUT_STAFF = ("support.", "staff.")


class MembersOfFactory(Rows):
    model = Membership
    fields = readonly_fields = ("user", "role", "created_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Membership]":
        return Membership.objects.select_related("user").order_by("user__email")


class MembershipsOfPerson(Rows):
    model = Membership
    fields = readonly_fields = ("factory", "role", "created_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Membership]":
        return Membership.objects.select_related("factory").order_by("factory__name", "pk")


@admin.register(Factory)
class FactoryRecords(Records):
    list_display = ("name", "schema_name", "state", "plan", "standing", "n_people", "last_sign_in")
    list_filter = ("state", "limits__plan", "limits__standing")
    list_select_related = ("limits",)
    search_fields = ("name", "schema_name", "memberships__user__email")
    ordering = ("name", "pk")
    inlines: ClassVar = [MembersOfFactory]
    fields = (
        "name", "schema_name", "state", "plan", "standing", "time_zone", "currency",
        "created_at", "ready_at", "last_sign_in", "tables", "migrated_at", "migration_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Factory]":
        newest = AuditEntry.objects.filter(factory=OuterRef("pk"), action="sign_in").order_by("-id")
        people = (
            Membership.objects.filter(factory=OuterRef("pk"))
            .order_by()
            .values("factory")
            .annotate(n=Count("pk"))
            .values("n")
        )
        rows: QuerySet[Factory] = Factory.objects.select_related("limits").annotate(
            signed_in_at=Subquery(newest.values("at")[:1]), n_members=Subquery(people)
        )
        return rows

    def get_urls(self) -> list[URLPattern]:
        ask = path(
            "<int:factory_id>/ask/",
            self.admin_site.admin_view(self.ask_support),
            name="ask-support",
        )
        return [ask, *super().get_urls()]

    def links(self, record: Factory) -> list[tuple[str, str]]:
        return [(reverse("admin:ask-support", args=[record.pk]), "Ask for support access")]

    def ask_support(self, request: HttpRequest, factory_id: int) -> HttpResponse:
        """Ask the people of a factory to let this person of the staff in."""
        factory = get_object_or_404(Factory, pk=factory_id)
        error = ""
        if request.method == "POST":
            reason, now = request.POST.get("reason", ""), timezone.now()
            try:
                support.ask(factory=factory, by=staff_of(request), reason=reason, at=now)
            except support.SupportRefused as refusal:
                error = str(refusal)
            else:
                messages.success(request, f"The owners and admins of {factory} are asked.")
                return redirect("admin:tenants_supportaccess_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Ask for support access to {factory}",
            "factory": factory,
            "error": error,
        }
        status = 422 if error else 200
        return render(request, "admin/tenants/ask_support.html", context, status=status)

    @admin.display(ordering="limits__plan")
    def plan(self, factory: Factory) -> str:
        return str(factory.limits.plan)

    @admin.display(ordering="limits__standing")
    def standing(self, factory: Factory) -> str:
        until = factory.limits.standing_until
        words = factory.limits.get_standing_display()
        return f"{words} until {until:%Y-%m-%d %H:%M} UTC" if until else words

    @admin.display(description="people", ordering="n_members")
    def n_people(self, factory: Factory) -> int:
        return int(factory.n_members or 0)

    @admin.display(ordering="signed_in_at")
    def last_sign_in(self, factory: Factory) -> object:
        return factory.signed_in_at

    @admin.display()
    def tables(self, factory: Factory) -> str:
        is_current = factory.migrations_digest == schema.migrations_digest()
        return "Up to date" if is_current else "A migration is pending"


@admin.register(User)
class UserRecords(Records):
    list_display = ("email", "name", "is_active", "is_staff", "last_login", "date_joined")
    list_filter = ("is_staff", "is_active")
    search_fields = ("email", "name")
    ordering = ("email",)
    inlines: ClassVar = [MembershipsOfPerson]
    fields = ("email", "name", "is_active", "is_staff", "last_login", "date_joined")


@admin.register(Membership)
class MembershipRecords(Records):
    list_display = ("user", "factory", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "factory")
    search_fields = ("user__email", "user__name", "factory__name", "factory__schema_name")
    ordering = ("user__email", "pk")
    fields = ("user", "factory", "role", "created_at")


@admin.register(AuditEntry)
class AuditRecords(Records):
    list_display = ("at", "factory", "actor_name", "action", "about")
    list_select_related = ("factory",)
    search_fields = ("actor_name", "action", "factory__name", "factory__schema_name")
    ordering = ("-id",)
    fields = ("at", "factory", "actor_name", "action", "about", "previous_hash", "entry_hash")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[AuditEntry]":
        # The chain outlives its factory: joined, one that is gone is none instead of an error.
        return AuditEntry.objects.select_related("factory")

    @admin.display()
    def about(self, entry: AuditEntry) -> str:
        """Name what was acted on, unless it is a factory's own affair."""
        if entry.factory_id is not None and not entry.action.startswith(_ABOUT_STAFF):
            return ""
        detail = ", ".join(f"{key} {value}" for key, value in entry.detail.items())
        return " · ".join(part for part in (entry.target, detail) if part)
