"""Usage and invoices over the API: for those who may see money, of their own factory only."""

import json
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from billing import documents, receipts, selectors, services
from billing.gateways import StripeAway
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


def call(method: str, path: str, key: str, body: object = None):
    return Client().generic(
        method, f"/api/v1/{path}", json.dumps(body), content_type="application/json", secure=True,
        HTTP_HOST=PUBLIC_HOST, headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip


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


PATHS = ["usage", "invoices", "plans", "subscription", "ledger", "budget", "caps"]


@pytest.mark.parametrize("path", [f"/api/v1/{path}/" for path in PATHS])
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

    with django_assert_max_num_queries(5):
        get("/api/v1/invoices/", api_key)


def test_plans_are_told_with_the_prices_of_the_book(api_key):
    body = get("/api/v1/plans/", api_key).json()

    workshop = next(plan for plan in body["plans"] if plan["key"] == "workshop")
    assert (body["currency"], workshop["machine_minor"]) == ("EUR", 2900)
    assert workshop["included"] == {"images": 5000, "planning_minutes": 300, "archive_mb": 50_000}


# By hand: 2 machines, 20.00 more each, 11 of October's 31 days left: 40.00 x 11/31 = 14.19.
def test_a_preview_over_the_api_is_that_of_the_page(acme, api_key, readings, monkeypatch):
    oct_10, oct_21 = datetime(2026, 10, 10, 9, tzinfo=UTC), datetime(2026, 10, 21, tzinfo=UTC)
    services.start_subscription(factory=acme, plan="workshop", by=None, at=oct_10)
    readings.add("machine:a", oct_10 + HOUR, 5)
    readings.add("machine:b", oct_10 + HOUR, 5)
    monkeypatch.setattr(timezone, "now", lambda: oct_21)

    body = call("POST", "subscription/preview/", api_key, {"plan": "plant"}).json()

    assert (body["amount_minor"], body["n_machines"], body["current"]) == (1419, 2, "workshop")
    assert get("/api/v1/subscription/", api_key).json()["plan"] == "workshop"


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "subscription/"), ("DELETE", "subscription/"), ("POST", "subscription/keep/")],
)
def test_an_api_key_chooses_nothing(acme, api_key, method, path):
    services.start_subscription(factory=acme, plan="workshop", by=None)

    assert call(method, path, api_key, {"plan": "plant"}).status_code == 403
    subscription = selectors.subscription_of(acme)
    assert subscription is not None
    assert (subscription.plan, subscription.ends_at) == ("workshop", None)


def choose(owner, plan: str, **more: object):
    return owner.post(
        "/api/v1/subscription/", json.dumps({"plan": plan, **more}), content_type="application/json"
    )


def test_a_signed_in_owner_chooses_cancels_and_takes_it_back(portal, acme):
    owner = portal()

    assert choose(owner, "workshop", trial=True).json()["status"] == "starting"
    assert owner.request("DELETE", "/api/v1/subscription/").json()["closes_factory"]
    assert not owner.post("/api/v1/subscription/keep/").json()["closes_factory"]
    assert choose(owner, "workshop", trial=True).status_code == 200
    assert selectors.subscription_of(acme) is not None


def test_an_amount_that_changed_since_the_preview_chooses_nothing(portal, acme):
    services.start_subscription(factory=acme, plan="workshop", by=None)

    answer = choose(portal(), "plant", expected_amount_minor=77)

    assert answer.status_code == 409
    assert "by now" in answer.json()["message"]
    subscription = selectors.subscription_of(acme)
    assert subscription is not None
    assert subscription.plan == "workshop"


def test_a_promotion_code_is_checked_shown_and_used(portal, acme, api_key, stripe):
    wish = {"plan": "workshop", "promotion_code": "WELCOME20"}
    shown = call("POST", "subscription/preview/", api_key, wish).json()
    wrong = call("POST", "subscription/preview/", api_key, {**wish, "promotion_code": "NO-SUCH"})
    refused = choose(portal(), "workshop", promotion_code="NO-SUCH")

    assert (shown["percent_off"], shown["month_off_minor"]) == (20, 0)
    assert shown["discount_ends_at"]
    for answer in (wrong, refused):
        assert answer.status_code == 400
        assert answer.json()["detail"] == {"promotion_code": ["There is no such code: NO-SUCH."]}
    assert selectors.subscription_of(acme) is None
    assert choose(portal(), "workshop", promotion_code="welcome20").json()["percent_off"] == 20
    again = choose(portal(), "plant", promotion_code="WELCOME20")
    assert again.status_code == 400


def test_there_is_nothing_to_cancel_on_start(portal):
    assert portal().request("DELETE", "/api/v1/subscription/").status_code == 409
    assert portal().post("/api/v1/subscription/keep/").status_code == 409


def test_the_ledger_is_read_by_month_and_meter(acme, globex, api_key, readings):
    hour = datetime(2026, 10, 31, 23, tzinfo=UTC)
    readings.add("machine:a", hour, 60)
    readings.add("machine:a", hour + HOUR, 7)
    readings.add("machine:b", hour, 99, schema="globex")
    for factory in (acme, globex):
        services.roll_up(factory=factory, until=hour + 3 * HOUR, at=hour + 3 * HOUR)

    rows = get("/api/v1/ledger/?month=2026-10&meter=readings", api_key).json()["results"]
    everything = get("/api/v1/ledger/", api_key).json()["results"]

    assert [(row["hour"], row["quantity"]) for row in rows] == [("2026-10-31T23:00:00Z", 60)]
    assert [row["quantity"] for row in everything if row["meter"] == "readings"] == [7, 60]


@pytest.mark.parametrize("query", ["month=2026-13", "month=x", "meter=gold"])
def test_a_query_that_means_nothing_is_refused(api_key, query):
    assert get(f"/api/v1/ledger/?{query}", api_key).status_code == 400


def test_a_pdf_comes_to_its_own_factory_only(acme, api_key, other_api_key, monkeypatch):
    invoice = invoice_of(acme, "in_acme")
    monkeypatch.setattr(documents, "pdf", lambda _url: b"%PDF-1.4")
    path = f"/api/v1/invoices/{invoice.pk}/pdf/"

    assert get(path, api_key).content == b"%PDF-1.4"
    assert get(path, other_api_key).status_code == 404


@pytest.mark.parametrize(
    ("error", "status"), [(documents.NoDocument("x"), 409), (StripeAway("x"), 503)]
)
def test_a_pdf_that_is_not_there_is_answered_as_such(acme, api_key, monkeypatch, error, status):
    invoice = invoice_of(acme, "in_acme")

    def refuse(_url):
        raise error

    monkeypatch.setattr(documents, "pdf", refuse)

    assert get(f"/api/v1/invoices/{invoice.pk}/pdf/", api_key).status_code == status


def receipt_or(error, monkeypatch):
    def made(_invoice, *, zone):
        if error is not None:
            raise error
        return f"%PDF {zone.key}".encode()

    monkeypatch.setattr(receipts, "receipt", made)


def test_a_receipt_comes_to_its_own_factory_only(acme, api_key, other_api_key, monkeypatch):
    invoice = invoice_of(acme, "in_acme")
    receipt_or(None, monkeypatch)
    path = f"/api/v1/invoices/{invoice.pk}/receipt/"

    assert get(path, api_key).content == b"%PDF Europe/Berlin"
    assert get(path, other_api_key).status_code == 404
    assert get(f"/api/v1/invoices/{invoice.pk}/", api_key).json()["has_receipt"] is True


@pytest.mark.parametrize(("error", "status"), [(receipts.NoReceipt(), 404), (StripeAway("x"), 503)])
def test_a_receipt_that_is_not_there_is_answered_as_such(acme, api_key, monkeypatch, error, status):
    invoice = invoice_of(acme, "in_acme")
    receipt_or(error, monkeypatch)

    assert get(f"/api/v1/invoices/{invoice.pk}/receipt/", api_key).status_code == status


def put(owner, path: str, body: object):
    return owner.request(
        "PUT", f"/api/v1/{path}/", json.dumps(body), content_type="application/json"
    )


def test_a_budget_is_set_by_people_and_read_by_keys(portal, api_key, acme):
    assert call("PUT", "budget/", api_key, {"amount_minor": 5}).status_code == 403

    assert put(portal(), "budget", {"amount_minor": 55_000}).json()["amount_minor"] == 55_000

    body = get("/api/v1/budget/", api_key).json()
    assert [alert["amount_minor"] for alert in body["alerts"]] == [27_500, 44_000, 55_000]
    assert put(portal(), "budget", {"amount_minor": None}).json()["amount_minor"] is None


@pytest.mark.parametrize("amount", [0, -1, 10**13, "x", 1.5])
def test_a_budget_that_means_nothing_is_refused(portal, amount):
    assert put(portal(), "budget", {"amount_minor": amount}).status_code == 400


def test_a_cap_is_set_by_people_and_read_by_keys(portal, api_key, acme, readings):
    services.start_subscription(factory=acme, plan="workshop", by=None)
    wanted = {"item": "readings", "max_extra": 7, "action": "refuse"}
    assert call("PUT", "caps/", api_key, wanted).status_code == 403

    assert put(portal(), "caps", wanted).status_code == 200

    caps = {cap["item"]: cap for cap in get("/api/v1/caps/", api_key).json()}
    assert (caps["readings"]["max_extra"], caps["readings"]["action"]) == (7, "refuse")
    assert caps["images"]["actions"] == ["refuse"]


@pytest.mark.parametrize(
    "body",
    [
        {"item": "archive_mb", "max_extra": 1, "action": "refuse"},
        {"item": "images", "max_extra": 1, "action": "keep"},
        {"item": "readings", "max_extra": -1, "action": "keep"},
        {"item": "readings", "action": "keep"},
    ],
)
def test_a_cap_that_is_not_offered_is_refused(portal, acme, readings, body):
    assert put(portal(), "caps", body).status_code == 400
