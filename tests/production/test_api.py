import json

import pytest
from django.test import Client

from tests.conftest import PUBLIC_HOST


@pytest.fixture
def call(api_key):
    client = Client()

    def send(method, path, data=None):
        return client.generic(
            method,
            f"/api/v1/{path}",
            data=json.dumps(data) if data is not None else "",
            content_type="application/json",
            secure=True,
            HTTP_HOST=PUBLIC_HOST,
            HTTP_AUTHORIZATION=f"Bearer {api_key}",
        )

    return send


@pytest.fixture
def mill(call):
    kind = call("POST", "machine-types", {"name": "Mill", "component": "Spindle bearing"}).json()
    return call("POST", "machines", {"name": "Mill 1", "machine_type": kind["id"]}).json()


def test_a_machine_is_added_and_listed(call, mill):
    assert [m["asset_tag"] for m in call("GET", "machines").json()["results"]] == ["mill-1"]
    assert mill["line_name"] == "Line 1"


def test_a_plan_without_room_says_so(call, mill, acme):
    acme.limits.max_machines = 1
    acme.limits.save()

    answer = call("POST", "machines", {"name": "Mill 2", "machine_type": mill["machine_type"]})

    assert (answer.status_code, answer.json()["code"]) == (409, "machine_limit_reached")


def test_a_failure_is_recorded_in_the_words_of_iso_14224(call, mill):
    path = f"machines/{mill['id']}/failures"

    answer = call("POST", path, {"failed_at": "2026-11-17T10:28:00Z", "mode": "vibration"})

    assert answer.status_code == 201
    assert [f["mode"] for f in call("GET", path).json()["results"]] == ["vibration"]


def test_a_failure_that_ends_before_it_begins_names_the_field(call, mill):
    answer = call(
        "POST",
        f"machines/{mill['id']}/failures",
        {
            "failed_at": "2026-11-17T10:28:00Z",
            "restored_at": "2026-11-17T09:00:00Z",
            "mode": "leak",
        },
    )

    assert answer.status_code == 400
    assert "restored_at" in answer.json()["detail"]


def test_a_viewer_may_look_and_not_change(portal):
    viewer = portal("viewer")

    assert viewer.get("/api/v1/machines").status_code == 200
    answer = viewer.post("/api/v1/machine-types", {"name": "x"}, content_type="application/json")
    assert answer.status_code == 403


def test_a_key_that_is_no_good_gets_401(call, acme):
    answer = Client().get(
        "/api/v1/machines",
        secure=True,
        HTTP_HOST=PUBLIC_HOST,
        HTTP_AUTHORIZATION="Bearer takt_api_nonsense",
    )

    assert answer.status_code == 401
    assert answer.json()["code"] == "not_authenticated"
