"""Accounts with their plans, and the price lists that the plans are from."""

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern, path, reverse

from billing import plans
from billing.models import BillingAccount, BookedAddOn, PlanTerm, Subscription, YearlyMachines
from billing.money import money
from tenants.admin.records import Records, Rows


class SubscriptionsOfAccount(Rows):
    model = Subscription
    fields = readonly_fields = ("plan", "version", "status", "started_at", "period_end", "ended_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Subscription]":
        return Subscription.objects.order_by("-started_at", "pk")


class TermsOfAccount(Rows):
    model = PlanTerm
    fields = readonly_fields = ("plan", "version", "starts_at", "is_trial", "exchanged_at")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[PlanTerm]":
        return PlanTerm.objects.order_by("-starts_at", "pk")


class YearlyOfAccount(Rows):
    model = YearlyMachines
    fields = readonly_fields = ("plan", "n_machines", "started_at", "period_end", "renews")


class AddOnsOfAccount(Rows):
    model = BookedAddOn
    fields = readonly_fields = ("key", "version", "starts_at", "ended_at")


@admin.register(BillingAccount)
class AccountRecords(Records):
    list_display = ("name", "factory", "currency", "standing", "cause", "overdue_since")
    list_filter = ("standing", "cause", "currency")
    list_select_related = ("factory",)
    search_fields = ("name", "legal_name", "stripe_customer_id", "factory__schema_name")
    ordering = ("name", "pk")
    inlines: ClassVar = [SubscriptionsOfAccount, TermsOfAccount, YearlyOfAccount, AddOnsOfAccount]
    fields = (
        "name", "factory", "currency", "standing", "cause", "overdue_since", "standing_since",
        "stripe_customer_id", "legal_name", "email", "line1", "line2", "postal_code", "city",
        "country", "tax_id_type", "tax_id", "trial_used_at", "created_at",
    )  # fmt: skip

    def links(self, record: BillingAccount) -> list[tuple[str, str]]:
        query = f"?account__id__exact={record.pk}"
        return [
            (reverse(f"admin:billing_{name}_changelist") + query, words)
            for name, words in (
                ("ledgerentry", "Ledger"),
                ("invoice", "Invoices"),
                ("proofline", "Proofs"),
            )
        ]


@admin.register(Subscription)
class SubscriptionRecords(Records):
    list_display = ("account", "plan", "version", "status", "started_at", "period_end", "ends_at")
    list_filter = ("status", "plan", "version")
    list_select_related = ("account",)
    search_fields = ("account__name", "stripe_id", "account__factory__schema_name")
    ordering = ("-started_at", "pk")
    fields = (
        "account", "plan", "version", "next_plan", "status", "stripe_id", "started_at",
        "trial_end", "metered_from", "period_start", "period_end", "cancel_at_period_end",
        "closes_factory", "ends_at", "end_told", "has_card", "promotion_code", "percent_off",
        "discount_ends_at", "ended_at", "synced_at",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.price_lists)
        return [path("prices/", view, name="price-lists"), *super().get_urls()]

    def price_lists(self, request: HttpRequest) -> HttpResponse:
        """Show every version of the price list; they are data in the code and change with it."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Plans and prices",
            "books": [_book(plans.BOOKS[version]) for version in sorted(plans.BOOKS, reverse=True)],
        }
        return render(request, "admin/billing/prices.html", context)


def _book(book: plans.PriceBook) -> dict[str, object]:
    rows = [
        (plan.name, currency, money(plan.machine_prices[currency], currency))
        for plan in book.plans
        for currency in book.currencies
    ]
    extras = [
        (f"{extra.label}, {extra.per_label}", currency, money(price, currency))
        for extra in book.extras
        for currency, price in extra.prices.items()
    ]
    add_ons = [
        (add_on.name, currency, money(price, currency))
        for add_on in book.add_ons
        for currency, price in add_on.prices.items()
    ]
    return {
        "version": book.version,
        "since": book.since,
        "tables": [("A machine and month", rows), ("Beyond", extras), ("Add-ons", add_ons)],
        "coupons": book.coupons,
    }


@admin.register(PlanTerm)
class TermRecords(Records):
    list_display = ("account", "plan", "version", "starts_at", "is_trial", "exchanged_at")
    list_filter = ("plan", "version", "is_trial")
    list_select_related = ("account",)
    search_fields = ("account__name", "account__factory__schema_name")
    ordering = ("-starts_at", "pk")
    fields = (
        "account", "plan", "version", "starts_at", "is_trial", "carried", "exchange_wanted",
        "exchanged_at", "written_at",
    )  # fmt: skip
