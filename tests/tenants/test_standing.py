"""What portal and API leave to a factory that is behind with its payments."""

import json
from datetime import UTC, datetime

import pytest
from django.test import Client

from tenants import leaving
from tenants.models import AuditEntry
from tests.conftest import PUBLIC_HOST

UNTIL = datetime(2026, 12, 24, tzinfo=UTC)
NEW_TYPE = {"name": "Lathe"}


@pytest.fixture
def stand(acme):
    def into(standing):
        return leaving.set_standing(factory=acme, standing=standing, until=UNTIL)

    return into


def call(api_key, method, path, data=None):
    return Client().generic(
        method,
        f"/api/v1/{path}",
        json.dumps(data) if data is not None else "",
        content_type="application/json",
        secure=True,
        HTTP_HOST=PUBLIC_HOST,
        HTTP_AUTHORIZATION=f"Bearer {api_key}",
    )


# -- read-only


@pytest.mark.parametrize("standing", ["good", "past_due"])
def test_a_payment_that_is_merely_due_changes_nothing(stand, portal, api_key, standing):
    stand(standing)

    assert portal().post("/settings/api-keys/", {"name": "Line"}).status_code == 200
    assert call(api_key, "POST", "alarm-rules/preview", {}).status_code != 403


def test_a_read_only_factory_can_be_looked_at_but_not_changed(stand, portal):
    stand("read_only")

    assert portal().get("/machines/").status_code == 200
    answer = portal().post("/settings/api-keys/", {"name": "Line"})

    page = answer.content.decode()
    assert answer.status_code == 403
    assert "2026-12-24" in page
    assert 'href="/usage/"' in page


def test_who_may_not_pay_is_not_sent_to_the_bill(stand, portal):
    stand("read_only")

    page = portal("operator").post("/maintenance/orders/new/", {}).content.decode()

    assert "read-only" in page
    assert 'href="/usage/"' not in page


def test_the_api_says_until_when_and_where_to_pay(stand, api_key):
    stand("read_only")

    answer = call(api_key, "POST", "webhooks", {"url": "https://hooks.example/"})

    body = answer.json()
    assert (answer.status_code, body["code"]) == (403, "read_only")
    assert body["detail"] == {
        "standing": "read_only",
        "until": "2026-12-24T00:00:00+00:00",
        "pay_at": "https://acme.localhost:8443/usage/",
    }
    assert call(api_key, "GET", "machines").status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_method_that_changes_something_gets_through(stand, portal, method):
    stand("read_only")

    assert portal().request(method, "/devices/codes/").status_code == 403


def test_what_must_go_on_does(stand, portal, in_acme):
    """Each answers as itself, with 404 or a redirect, and none with the refusal."""
    stand("read_only")
    paths = [
        "/alarms/1/act/",
        "/people/1/remove/",
        "/explore/exports/",
        "/settings/leaving/export/",
        "/usage/plan/",
        "/notifications/read/",
    ]

    assert {path: portal().post(path).status_code for path in paths if
            portal().post(path).status_code == 403} == {}  # fmt: skip


def test_one_can_always_sign_out(stand, portal):
    stand("suspended")

    assert portal().post("/leave/").headers["Location"] == "https://localhost:8443/"


def test_alarms_are_acknowledged_by_api_too(stand, api_key):
    stand("read_only")

    answer = call(api_key, "POST", "alarms/1/actions", {"action": "take"})

    assert answer.status_code == 404


def test_a_script_of_a_page_keeps_what_was_typed_and_shows_why(stand, portal):
    stand("read_only")

    answer = portal().post("/maintenance/orders/new/", {}, headers={"X-Takt-Keep": "1"})

    assert answer.status_code == 403
    assert "read-only" in answer.json()["error"]


def test_htmx_is_led_to_a_page_that_says_why(stand, portal):
    stand("read_only")

    answer = portal().post("/devices/codes/", {}, headers={"HX-Request": "true"})

    assert portal().get(answer.headers["HX-Redirect"]).status_code == 200


def test_a_stranger_still_meets_404_and_no_key_401(stand, acme, globex, portal):
    stand("read_only")

    stranger = portal("owner", globex)
    stranger.factory = acme
    assert stranger.post("/devices/codes/").status_code == 404
    assert call("takt_api_wrong", "POST", "webhooks", {}).status_code == 401


# -- suspended


def test_a_suspended_factory_shows_why_and_until_when(stand, portal):
    stand("suspended")

    answer = portal().get("/machines/")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/suspended/")
    page = portal().get("/suspended/").content.decode()
    assert "24 December 2026" in page
    assert 'href="/usage/"' in page
    assert 'href="/settings/leaving/"' in page


@pytest.mark.parametrize("path", ["/usage/", "/invoices/", "/settings/leaving/"])
def test_the_bill_and_the_export_are_left(stand, portal, path):
    stand("suspended")

    assert portal().get(path).status_code == 200


def test_who_may_not_pay_is_told_who_may(stand, portal):
    stand("suspended")

    page = portal("viewer").get("/suspended/").content.decode()

    assert "/usage/" not in page
    assert "Owners and admins" in page


def test_the_api_of_a_suspended_factory_answers_only_about_the_bill(stand, api_key):
    stand("suspended")

    refused = call(api_key, "GET", "machines")

    assert (refused.status_code, refused.json()["code"]) == (403, "suspended")
    assert call(api_key, "GET", "usage/").status_code == 200
    assert call(api_key, "GET", "invoices/").status_code == 200


@pytest.mark.parametrize("standing", ["read_only", "suspended"])
def test_paying_undoes_every_step(stand, portal, acme, standing):
    stand(standing)
    leaving.set_standing(factory=acme, standing="good", until=None)

    assert portal().get("/machines/").status_code == 200
    assert portal().post("/settings/api-keys/", {"name": "Line"}).status_code == 200
    assert portal().get("/suspended/").headers["Location"] == "/"


def test_steps_are_written_into_the_audit_log_once_each(stand, acme):
    for standing in ("past_due", "past_due", "read_only", "good"):
        stand(standing)

    entries = AuditEntry.objects.filter(factory=acme, action="factory.standing_set").order_by("id")
    assert [one.detail["to"] for one in entries] == ["past_due", "read_only", "good"]
