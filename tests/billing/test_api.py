"""Usage and invoices over the API: for those who may see money, of their own factory only."""

import pytest
from django.test import Client
from django.utils import timezone

from billing import services
from billing.models import Invoice
from tests.billing.conftest import HOUR
from tests.conftest import PUBLIC_HOST


def invoice_of(factory, name: str) -> Invoice:
    account, at = services.account_for(factory), timezone.now()
    invoice = Invoice.objects.create(
        account=account, stripe_id=name, number=name, status="paid", currency="EUR", total_minor=5,
        due_minor=5, paid_minor=5, period_start=at, period_end=at, created_at=at, synced_at=at,
    )  # fmt: skip
    invoice.lines.create(
        position=0, stripe_id="il_1", description="x", quantity=1, amount_minor=5, period_start=at,
        period_end=at,
    )  # fmt: skip
    return invoice


def get(path: str, key: str):
    return Client().get(
        path, secure=True, HTTP_HOST=PUBLIC_HOST, headers={"Authorization": f"Bearer {key}"}
    )


def test_usage_is_told_in_minor_units(acme, api_key, readings):
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - HOUR
    readings.add("machine:a", hour, 60, at=timezone.now())
    services.roll_up(factory=acme)

    body = get("/api/v1/usage/", api_key).json()

    assert (body["plan"], body["currency"], body["so_far_minor"]) == ("start", "EUR", 0)
    assert [m["meter"] for m in body["meters"]] == [
        "active_machines", "readings", "images", "planning_minutes", "archive_mb",
    ]  # fmt: skip


def test_invoices_come_with_their_lines_and_only_one_s_own(acme, globex, api_key):
    own = invoice_of(acme, "in_acme")
    invoice_of(globex, "in_globex")

    body = get("/api/v1/invoices/", api_key).json()

    assert [
        (i["id"], i["total_minor"], i["lines"][0]["amount_minor"]) for i in body["results"]
    ] == [(own.pk, 5, 5)]


def test_another_factory_s_invoice_is_not_there(acme, api_key, other_api_key):
    own = invoice_of(acme, "in_acme")

    assert get(f"/api/v1/invoices/{own.pk}/", api_key).status_code == 200
    assert get(f"/api/v1/invoices/{own.pk}/", other_api_key).status_code == 404


@pytest.mark.parametrize("path", ["/api/v1/usage/", "/api/v1/invoices/"])
@pytest.mark.parametrize(
    ("role", "status"), [("owner", 200), ("admin", 200), ("engineer", 403), ("viewer", 403)]
)
def test_money_is_seen_by_owner_and_admin_only(portal, readings, path, role, status):
    assert portal(role).get(path).status_code == status


def test_a_list_of_invoices_takes_a_fixed_number_of_queries(
    acme, api_key, django_assert_max_num_queries
):
    for n in range(5):
        invoice_of(acme, f"in_{n}")

    with django_assert_max_num_queries(8):
        get("/api/v1/invoices/", api_key)
