"""Work orders, plans and parts through the API, as each role."""

import json
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from production import selectors
from production.models import WorkOrder
from tenants import storage
from tests.production.test_order_work import picture


@pytest.fixture
def send(portal):
    def post(role, path, data=None):
        body = json.dumps(data or {})
        answer = portal(role).post(f"/api/v1/{path}", body, content_type="application/json")
        return answer.status_code, answer.json()

    return post


@pytest.fixture
def order(send, machine):
    _, made = send("operator", "work-orders", {"machine": str(machine.pk), "title": "Leak"})
    return f"work-orders/{made['id']}"


def test_an_operator_reports_and_an_engineer_s_order_is_approved(send, machine):
    asked = {"machine": str(machine.pk), "title": "Leak", "request_id": str(uuid4())}
    status, reported = send("operator", "work-orders", asked)
    _, again = send("operator", "work-orders", asked)
    _, planned = send("engineer", "work-orders", {"machine": str(machine.pk), "title": "Grease"})

    assert (status, reported["state"], planned["state"]) == (201, "proposed", "approved")
    assert again["id"] == reported["id"]


@pytest.mark.parametrize("step", ["approve", "schedule", "verify", "reject"])
def test_planning_is_the_engineer_s(send, order, step):
    assert send("operator", f"{order}/{step}", {"text": "-"})[0] == 403
    assert send("engineer", f"{order}/{step}", {"text": "-"})[0] in (200, 409)


def test_a_viewer_reads(send, order, portal):
    assert portal("viewer").get(f"/api/v1/{order}").json()["title"] == "Leak"
    assert send("viewer", f"{order}/start")[0] == 403


def test_an_order_is_worked_on_to_its_end(send, order, bearing):
    part = {"part": str(bearing.pk), "quantity": "1", "request_id": str(uuid4())}
    for path, data in (
        ("start", {}), ("labour", {"minutes": 30}), ("parts", part), ("parts", part),
        ("signature", {"name": "Ada", "strokes": [[0, 0, 5, 5]]}), ("comments", {"text": "Ok"}),
        ("complete", {"verdict": "real", "mode": "leak", "downtime_minutes": 20}),
    ):  # fmt: skip
        status, said = send("operator", f"{order}/{path}", data)
        assert status == 200, said
    status, said = send("engineer", f"{order}/verify")

    assert (status, said["state"], said["verdict"]) == (200, "verified", "real")
    assert (said["parts"][0]["n_used"], said["signed_by"]) == ("1.00", "Ada")
    assert selectors.failures().get().source == said["label"]


def test_a_step_out_of_turn_is_refused_in_words(send, order):
    status, said = send("engineer", f"{order}/verify")

    assert (status, said["code"]) == (409, "not_possible")
    assert said["message"] == "WO-000001 is proposed."


def test_a_photo_comes_back_as_a_file_that_no_browser_runs(order, portal, monkeypatch):
    kept = {}
    monkeypatch.setattr(storage, "put_bytes", lambda *, key, content: kept.update({key: content}))
    monkeypatch.setattr(storage, "get_bytes", lambda *, key: kept[key])
    page = portal("operator")
    sent = SimpleUploadedFile("../../x.html", picture("PNG"), content_type="text/html")

    answer = page.post(f"/api/v1/{order}/photos", {"photo": sent})
    (photo,) = answer.json()["photos"]
    fetched = page.get(f"/api/v1/{order}/photos/{photo['id']}")

    assert fetched.headers["Content-Type"] == "image/jpeg"
    assert fetched.headers["X-Content-Type-Options"] == "nosniff"
    assert fetched.headers["Content-Disposition"].startswith("attachment")
    assert fetched.content.startswith(b"\xff\xd8")


def test_what_is_no_photo_is_refused(order, portal):
    sent = SimpleUploadedFile("x.jpg", b"<script>", content_type="image/jpeg")
    answer = portal("operator").post(f"/api/v1/{order}/photos", {"photo": sent})

    assert (answer.status_code, answer.json()["code"]) == (409, "not_a_photo")


def test_a_list_of_orders_makes_as_many_queries_as_one_order(send, order, portal, machine):
    page = portal()

    def listed():
        with CaptureQueriesContext(connection) as asked:
            found = page.get("/api/v1/work-orders?state=open").json()["results"]
        return len(asked), [row["title"] for row in found]

    n_queries, titles = listed()
    send("operator", "work-orders", {"machine": str(machine.pk), "title": "Noise"})

    assert (titles, listed()) == (["Leak"], (n_queries, ["Leak", "Noise"]))
    assert page.get("/api/v1/work-orders?machine=nonsense").json()["results"] == []


def test_a_plan_is_changed_in_parts(send, portal, machine, bearing):
    plan = {
        "name": "Grease", "trigger": "calendar", "machine": str(machine.pk), "every_days": 30,
        "first_due_on": "2026-12-01", "checklist": [{"text": "Play", "unit": "mm"}],
        "parts": [{"part": str(bearing.pk), "quantity": "2"}],
    }  # fmt: skip
    status, made = send("engineer", "maintenance-plans", plan)
    assert status == 201, made
    changed = portal("engineer").request(
        "PATCH", f"/api/v1/maintenance-plans/{made['id']}", json.dumps({"every_days": 60}),
        content_type="application/json",
    ).json()  # fmt: skip

    assert (changed["every_days"], changed["parts"], changed["checklist"]) == (
        60, [{"part": str(bearing.pk), "quantity": "2.00"}], [{"text": "Play", "unit": "mm"}],
    )  # fmt: skip
    assert send("engineer", "maintenance-plans", {"name": "x", "trigger": "meter"})[0] == 409
    assert send("operator", "maintenance-plans", plan)[0] == 403


def test_stock_is_moved_and_forecast(send, portal, bearing):
    path = f"spare-parts/{bearing.pk}"
    moved = {"quantity": "4", "reason": "receipt", "request_id": str(uuid4())}
    for _ in range(2):
        assert send("operator", f"{path}/movements", moved)[0] == 201

    said = portal("viewer").get(f"/api/v1/{path}/stock").json()
    assert (said["stock"], said["unplanned"]) == ("4.00", None)
    assert send("engineer", "spare-parts", {"part_no": "7014", "name": "-"})[0] == 409


def test_a_meter_is_told(send, machine):
    told = {"key": "spindle_h", "value": 12.5, "measured_at": "2026-11-17T10:00:00Z"}
    status, said = send("operator", f"machines/{machine.pk}/meters", told)

    assert (status, said["value"]) == (201, 12.5)
    assert not WorkOrder.objects.exists()
