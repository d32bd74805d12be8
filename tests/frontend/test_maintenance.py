"""The pages of maintenance: the list, one order, the phone, plans, parts, the label."""

import re
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from frontend import reliability_card
from production import selectors, services
from production.models import CheckItem, Failure, MaintenancePlan, StockMovement, WorkOrder
from production.reliability import Outage, reliability
from tenants import storage
from tests.frontend.conftest import NOON
from tests.production.test_order_work import picture


@pytest.fixture
def proposed(mill):
    return services.propose_work_order(
        machine_id=mill.pk, title="Replace the spindle bearing", dedup_key="wear", at=NOON,
        reason="Vibration 2.1x its usual level.", first_checks=["Listen at the spindle"],
        waiting_cost_minor_per_day=40_000, waiting_cost="a stop costs 6 h of work",
        due_by=timezone.now() - timedelta(hours=3),
    )  # fmt: skip


@pytest.fixture
def bearing(in_acme):
    return services.save_part(
        fields=services.PartFields(part_no="7014", name="Bearing", unit_cost_minor=18_000)
    )


@pytest.fixture
def act(proposed, portal):
    def post(role, action, **fields):
        path = f"/maintenance/orders/{proposed.pk}/act/"
        answer = portal(role).post(path, {"action": action, **fields}, headers={"x-takt-keep": "1"})
        proposed.refresh_from_db()
        return answer

    return post


def text_of(answer, status=200):
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


def test_without_an_order_the_page_says_what_it_is_for(in_acme, portal):
    assert "No work order yet" in text_of(portal("engineer").get("/maintenance/"))
    assert "Make a plan" not in text_of(portal("operator").get("/maintenance/"))


def test_the_list_begins_with_what_waits_and_says_what_is_late(proposed, portal):
    page = text_of(portal().get("/maintenance/"))

    assert "Wait for approval" in page
    assert "1 open, 1 late." in page
    assert "Late by 3 h" in page


def test_filters_are_in_the_address(proposed, portal, mill):
    owner = portal()

    assert "Replace the spindle" in text_of(owner.get(f"/maintenance/?machine={mill.pk}"))
    for query in ("kind=inspection", "show=closed", "show=mine"):
        assert "Replace the spindle" not in text_of(owner.get(f"/maintenance/?{query}"))
    assert text_of(owner.get("/maintenance/?machine=x&kind=y&show=z"))


def test_the_list_asks_as_often_for_many_orders_as_for_one(proposed, portal, mill):
    owner = portal()

    def n_queries():
        with CaptureQueriesContext(connection) as asked:
            owner.get("/maintenance/")
        return len(asked)

    few = n_queries()
    for n in range(5):
        services.create_work_order(machine_id=mill.pk, title=f"{n}", at=NOON, by=None)
    assert n_queries() == few


def test_an_order_says_why_and_what_waiting_costs(proposed, portal):
    page = text_of(portal("engineer").get(f"/maintenance/orders/{proposed.pk}/"))

    assert "Vibration 2.1x its usual level." in page
    assert "Listen at the spindle" in page
    assert "Each day of waiting costs about €400: a stop costs 6 h of work" in page
    assert "Proposed from a prediction" in page


def test_buttons_are_those_of_the_role_and_the_state(proposed, portal):
    path = f"/maintenance/orders/{proposed.pk}/"

    assert "Approve</button>" in text_of(portal("engineer").get(path))
    assert "Approve</button>" not in text_of(portal("operator").get(path))
    assert '<form method="post"' not in text_of(portal("viewer").get(path)).split("<main")[1]


def test_an_operator_cannot_approve_by_hand_either(act, proposed):
    assert act("operator", "approve").status_code == 403
    assert act("viewer", "comment", text="x").status_code == 403
    assert proposed.state == "proposed"


def test_an_order_goes_from_approval_to_a_verdict(act, proposed, bearing):
    act("engineer", "approve")
    act("operator", "start")
    again = {"request_id": str(uuid4())}
    for _ in range(2):
        act("operator", "part", part=str(bearing.pk), quantity="1,0", **again)
    act("operator", "labour", minutes="45")
    act("operator", "sign", name="Ada", strokes="[[1,2,3,4]]")
    done = act("operator", "complete", verdict="real", mode="vibration", downtime="30")

    assert done.json()["next"] == f"/maintenance/orders/{proposed.pk}/"
    assert (proposed.state, StockMovement.objects.count()) == ("done", 1)


def test_every_form_of_a_page_is_a_request_of_its_own(act, proposed, portal):
    act("engineer", "approve")
    page = text_of(portal("operator").get(f"/maintenance/orders/{proposed.pk}/hands-on/"))
    ids = re.findall(r'name="request_id" value="([^"]+)"', page)

    assert len(ids) == len(set(ids)) > 3
    act("operator", "start", request_id=ids[0])
    answer = act("operator", "labour", minutes="5", request_id=ids[0])
    assert "used for something else" in answer.json()["error"]


def test_what_is_refused_says_why_and_keeps_the_form(act):
    act("engineer", "approve")
    for fields, words in (
        ({"action": "complete"}, "Say what you found"),
        ({"action": "complete", "verdict": "real"}, "needs how it showed"),
        ({"action": "complete", "verdict": "sure"}, "Choose one of the answers"),
        ({"action": "labour", "minutes": "soon"}, "Minutes: give a whole number"),
        ({"action": "part", "part": "x", "quantity": "1"}, "Choose a part"),
        ({"action": "photo"}, "Choose a photo"),
        ({"action": "sign", "name": "A", "strokes": "{"}, "Draw it again"),
        ({"action": "schedule", "scheduled_for": "soon"}, "Give the time"),
        ({"action": "jump"}, "There is no such button"),
    ):
        answer = act("engineer", **fields)
        assert (answer.status_code, words in answer.json()["error"]) == (409, True), fields


def test_a_checklist_is_ticked_off_on_the_phone(act, proposed, portal):
    act("engineer", "approve")
    item = CheckItem.objects.create(order=proposed, position=1, text="Play", unit="mm")
    path = f"/maintenance/orders/{proposed.pk}/hands-on/"
    assert "0 of 1" in text_of(portal("operator").get(path))
    assert "give the value in mm" in act("operator", "check", item=item.pk).json()["error"]
    act("operator", "check", item=item.pk, value="0,02", result="not_ok")

    page = text_of(portal("operator").get(path))
    assert "Not in order, 0.02 mm" in page.replace("</svg>", "")
    assert WorkOrder.objects.filter(title="Not in order: Play").exists()


def test_without_the_script_a_refusal_is_a_message(proposed, portal):
    operator = portal("operator")
    operator.post(f"/maintenance/orders/{proposed.pk}/act/", {"action": "start", "back": "work"})
    page = text_of(operator.get(f"/maintenance/orders/{proposed.pk}/hands-on/"))

    assert "WO-000001 is proposed." in page
    assert "An engineer has to approve this first." in page


def test_a_failure_that_was_real_is_shown_in_four_words(act, proposed, portal):
    act("engineer", "approve")
    act("operator", "complete", verdict="real", mode="leak", mechanism="material", note="Seal worn")
    page = text_of(portal().get(f"/maintenance/orders/{proposed.pk}/"))

    assert Failure.objects.get().mode == "leak"
    assert all(
        word in page for word in ("Real", "Leak", "Material", "Seal worn", "It was done well")
    )


def test_a_photo_is_shown_and_comes_as_a_file(act, proposed, portal, monkeypatch):
    kept = {}
    monkeypatch.setattr(storage, "put_bytes", lambda *, key, content: kept.update({key: content}))
    monkeypatch.setattr(storage, "get_bytes", lambda *, key: kept[key])
    act("operator", "photo", photo=SimpleUploadedFile("x.png", picture("PNG")))
    page = text_of(portal("viewer").get(f"/maintenance/orders/{proposed.pk}/"))
    (path,) = re.findall(r'<img src="([^"]+)"', page)
    answer = portal("viewer").get(path)

    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_store_that_is_away_is_said(act, monkeypatch):
    def away(*, key, content):
        raise storage.StorageUnavailable("-")

    monkeypatch.setattr(storage, "put_bytes", away)
    answer = act("operator", "photo", photo=SimpleUploadedFile("x.png", picture("PNG")))
    assert "does not answer" in answer.json()["error"]


def test_a_report_is_written_down_once(mill, portal):
    fields = {
        "machine": str(mill.pk), "title": "Leak", "priority": "2", "request_id": str(uuid4()),
        "back": "work",
    }  # fmt: skip
    operator = portal("operator")
    for _ in range(2):
        answer = operator.post("/maintenance/orders/new/", fields)

    order = WorkOrder.objects.get()
    assert answer.headers["Location"] == f"/maintenance/orders/{order.pk}/hands-on/"
    assert (order.state, order.priority) == ("proposed", 2)


def test_what_is_missing_in_a_report_is_listed(mill, portal):
    page = text_of(portal("operator").post("/maintenance/orders/new/", {"title": ""}), 422)
    assert "What is wrong</a>: This field is required." in page


def test_a_code_on_the_machine_opens_what_is_to_be_done(proposed, portal, mill):
    page = text_of(portal("operator").get("/m/mill-1/"))

    assert f"/maintenance/orders/{proposed.pk}/hands-on/" in page
    assert "Something is wrong" in page
    assert "Something is wrong" not in text_of(portal("viewer").get("/m/mill-1/"))


def test_the_label_carries_the_address_as_a_code(mill, portal):
    page = text_of(portal("viewer").get(f"/machines/{mill.pk}/label/"))

    assert "https://acme.localhost:8443/m/mill-1/" in page
    assert re.search(r'<svg[^>]*class="qr"', page)


def test_a_plan_is_made_without_seeing_json(mill, portal, bearing):
    fields = {
        "name": "Grease", "place": f"type:{mill.machine_type_id}", "kind": "preventive",
        "trigger": "calendar", "every_days": "30", "first_due_on": "2026-11-20", "lead_days": "7",
        "priority": "3", "checklist": "Grease\nPlay [mm]\n\n", "parts": "2 x 7014",
        "is_enabled": "on",
    }  # fmt: skip
    engineer = portal("engineer")
    assert engineer.post("/maintenance/plans/new/", fields).status_code == 302

    plan = MaintenancePlan.objects.get()
    assert plan.checklist == [{"text": "Grease", "unit": ""}, {"text": "Play", "unit": "mm"}]
    assert plan.parts.get().quantity == 2
    page = text_of(engineer.get(f"/maintenance/plans/{plan.pk}/"))
    assert "Play [mm]" in page
    assert "2 x 7014" in page
    assert "Every 30 days" in text_of(portal("viewer").get("/maintenance/plans/"))


def test_a_plan_that_says_too_little_is_not_saved(mill, portal):
    fields = {
        "name": "Grease", "place": f"machine:{mill.pk}", "kind": "preventive", "lead_days": "7",
        "trigger": "meter", "priority": "3", "parts": "2 x none",
    }  # fmt: skip
    page = text_of(portal("engineer").post("/maintenance/plans/new/", fields), 422)
    assert "no part has this number" in page
    fields["parts"] = ""
    page = text_of(portal("engineer").post("/maintenance/plans/new/", fields), 422)

    assert "Say when it is due" in page
    assert 'value="Grease"' in page


def test_the_shelf_is_counted_and_filled(bearing, portal):
    operator = portal("operator")
    for reason, n in (("receipt", "5"), ("scrap", "1"), ("count", "3")):
        operator.post(f"/maintenance/parts/{bearing.pk}/move/", {"reason": reason, "quantity": n})

    (stock,) = selectors.stocks([bearing])
    assert (stock.stock, StockMovement.objects.count()) == (Decimal(3), 3)
    page = text_of(operator.get("/maintenance/parts/"))
    assert "Not enough history" in page


def test_a_price_is_typed_in_the_factory_s_currency(bearing, portal):
    path = f"/maintenance/parts/{bearing.pk}/"
    engineer = portal("engineer")
    assert 'value="180"' in text_of(engineer.get(path))
    fields = {"part_no": "7014", "name": "Bearing", "unit": "pcs", "min_quantity": "2"}
    engineer.post(path, {**fields, "unit_cost": "12.50"})

    bearing.refresh_from_db()
    assert (bearing.unit_cost_minor, bearing.min_quantity) == (1250, 2)
    assert "cannot lie below" in text_of(engineer.post(path, {**fields, "max_quantity": "1"}), 422)


def test_reliability_without_a_failure_says_over_how_many_hours():
    found = reliability_card.card(reliability(operating_h=400, outages=[]), days=30)

    assert found.figures[0].value == "No failure"
    assert found.figures[0].below == "over 400 h of work, above 134 h in 19 of 20 cases"


def test_reliability_gives_its_bound_and_what_is_not_restored():
    outages = [Outage(NOON, NOON + timedelta(hours=2)), Outage(NOON, None)]
    between, repair, ready = reliability_card.card(
        reliability(operating_h=160, outages=outages), days=30
    ).figures

    assert (between.value, between.below[:26]) == ("80", "2 failures over 160 h of w")
    assert (repair.value, repair.below) == ("2", "1 not restored yet")
    assert ready.value == "97.6"


def test_the_reliability_of_a_machine_comes_after_its_page(mill, portal):
    page = text_of(portal("viewer").get(f"/machines/{mill.pk}/reliability/"))
    assert "No hours of work in the last" in page
