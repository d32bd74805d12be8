"""Products, lots, inspections and nonconformances over the API."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from production import services
from production.models import Inspection, Lot, OperationRun
from tests.production.quality.conftest import NOON

AT = NOON.isoformat()


@pytest.fixture
def call(portal):
    """Return `call(role, method, path, body)`: the status and the answer."""

    def send(role, method, path, body=None):
        answer = portal(role).request(
            method, f"/api/v1/{path}", json.dumps(body) if body is not None else None,
            content_type="application/json",
        )  # fmt: skip
        return answer.status_code, answer.json()

    return send


def bracket_lot(code, **fields):
    return {"product": "B-100", "code": code, "made_at": AT, **fields}


def test_a_part_is_made_known_milled_inspected_and_decided(call, machine, in_acme):
    def post(path, body):
        status, said = call("engineer", "POST", path, body)
        assert status in (200, 201), said
        return said

    post("products", {"item_no": "B-100", "name": "Bracket", "unit_cost_minor": 1250})
    post("production-orders", {"number": "P-1", "product": "B-100", "quantity": "20"})
    post("defect-types", {"code": "bore", "name": "Bore out of size"})
    plan = post("inspection-plans", {
        "product": "B-100", "name": "After milling", "operation": "20 milling",
        "sampling": "per_lot", "sample_n": 2,
        "characteristics": [{"name": "Bore", "unit": "mm", "upper_limit": 12.02,
                             "defect": "bore"}],
    })  # fmt: skip
    lot = post("lots", bracket_lot("L-1", quantity="20", order="P-1"))
    at = timezone.now().isoformat()
    post("operation-runs", {"items": [
        {"product": "B-100", "lot": "L-1", "operation": "20 milling", "started_at": AT,
         "machine": str(machine.pk), "ended_at": at, "parameters": {"feed": 800}},
    ]})  # fmt: skip
    found = post("inspections", {
        "plan": plan["id"], "lot_code": "L-1", "piece": "10", "source": "gauge",
        "measurements": [{"characteristic": "Bore", "value": 12.5}],
    })  # fmt: skip

    assert (found["verdict"], found["machine"]) == ("fail", str(machine.pk))
    assert found["verdicts"][0]["defects"] == [
        {"code": "bore", "name": "Bore out of size", "count": 1}
    ]
    address = f"nonconformances/{found['nonconformance']}"
    decided = post(f"{address}/decide", {"disposition": "scrap"})
    assert (decided["cost_minor"], decided["currency"]) == (1250, "EUR")
    assert post(f"{address}/close", {})["state"] == "closed"

    _, shown = call("viewer", "GET", f"lots/{lot['id']}")
    assert (shown["state"], shown["runs"][0]["parameters"]) == ("held", {"feed": 800})
    _, due = call("viewer", "GET", "inspections?state=due")
    assert [row["piece"] for row in due["results"]] == ["20"]


def test_a_list_stores_what_is_good_and_names_the_rest(call, bracket):
    items = [bracket_lot("S-1", is_serial=True), {"product": "B-100"}, bracket_lot("S-2"),
             bracket_lot("S-3", product="X"), bracket_lot("a\0b")]  # fmt: skip
    status, said = call("operator", "POST", "lots/bulk", {"items": items})

    assert (status, said["n_stored"], said["n_known"]) == (200, 2, 0)
    assert [(row["index"], row["code"]) for row in said["rejected"]] == [
        (1, "invalid"), (3, "unknown_product"), (4, "invalid"),
    ]  # fmt: skip
    assert "code: This field is required." in said["rejected"][0]["message"]
    _, again = call("operator", "POST", "lots/bulk", {"items": items})
    assert (again["n_stored"], again["n_known"]) == (0, 2)
    too_many = {"items": [bracket_lot("x")] * 501}
    assert call("operator", "POST", "lots/bulk", too_many)[0] == 400


def test_runs_that_make_no_sense_are_named(call, lot, machine):
    run = {"product": "B-100", "lot": "L-1", "operation": "20", "machine": str(machine.pk)}
    items = [{**run, "started_at": AT}, {**run, "started_at": "yesterday"}, {**run, "lot": "L-9"},
             {**run, "started_at": AT, "run_no": 2, "parameters": {"tool": {"a": 1}}}]  # fmt: skip
    _, said = call("operator", "POST", "operation-runs", {"items": items})

    assert [(row["index"], row["code"]) for row in said["rejected"]] == [
        (1, "invalid"), (2, "unknown_lot"), (3, "invalid"),
    ]  # fmt: skip
    assert OperationRun.objects.count() == said["n_stored"] == 1
    assert call("viewer", "GET", f"operation-runs?lot={lot.pk}")[1]["count"] == 1
    assert call("viewer", "GET", "operation-runs?machine=x")[0] == 400


def test_lots_are_found_by_a_part_of_their_code(call, lot_of):
    for code in ("L-1042", "L-1043", "M-7"):
        lot_of(code)

    assert call("viewer", "GET", "lots?q=l-10")[1]["count"] == 2
    assert call("viewer", "GET", "lots?q=%00")[1]["count"] == 3
    assert call("viewer", "GET", "lots?state=held")[1]["count"] == 0
    assert call("viewer", "GET", "lots?state=lost")[0] == 400


def test_refusals_have_the_code_of_their_rule(call, plan, lot):
    inspect = {"plan": str(plan.pk), "lot": str(lot.pk)}
    out = [{"characteristic": "Bore", "value": 13.0}]
    cases = [
        ("products", {"item_no": "B-100", "name": "Again"}, "taken"),
        ("inspections", inspect, "nothing_said"),
        ("inspections", {**inspect, "measurements": out, "verdict": "pass"}, "contradiction"),
        ("inspections", {**inspect, "verdict": "fail", "defects": {"x": 1}}, "unknown_defect"),
        ("inspections", {**inspect, "lot": None, "lot_code": "-", "verdict": "pass"},
         "unknown_lot"),
        (f"lots/{lot.pk}/state", {"state": "released"}, "illegal_step"),
        ("inspection-plans", {"product": "B-100", "name": "X", "characteristics": [{"name": "Y"}]},
         "invalid"),
    ]  # fmt: skip
    for path, body, code in cases:
        status, said = call("owner", "POST", path, body)
        assert (status, said["code"]) == (409, code), path


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("products", "engineer"),
        ("production-orders", "engineer"),
        ("defect-types", "engineer"),
        ("inspection-plans", "engineer"),
        ("inspection-plans/{plan}/versions", "engineer"),
        ("lots", "operator"),
        ("lots/bulk", "operator"),
        ("lots/{lot}/state", "operator"),
        ("operation-runs", "operator"),
        ("inspections", "operator"),
        ("inspections/{inspection}/verdicts", "operator"),
        ("nonconformances", "operator"),
        ("nonconformances/{nonconformance}/contain", "operator"),
        ("nonconformances/{nonconformance}/decide", "engineer"),
        ("nonconformances/{nonconformance}/close", "engineer"),
    ],
)
def test_a_role_writes_what_its_table_says(call, plan, lot, path, role):
    found = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, at=NOON, verdict="fail", note="Bent"
    )
    path = path.format(
        plan=plan.pk, lot=lot.pk, inspection=found.pk, nonconformance=found.nonconformance.pk
    )
    below = {"engineer": "operator", "operator": "viewer"}[role]

    assert call(below, "POST", path, {})[0] == 403
    assert call(role, "POST", path, {})[0] != 403


def test_a_reviewer_s_verdict_is_added(call, plan, lot):
    found = services.record_inspection(
        plan_id=plan.pk, lot_id=lot.pk, at=NOON, verdict="fail", note="Bent", source="vision"
    )
    status, said = call(
        "operator", "POST", f"inspections/{found.pk}/verdicts", {"verdict": "pass", "note": "Dust"}
    )

    assert (status, said["verdict"], said["first_verdict"]) == (200, "pass", "fail")
    assert [(row["source"], row["by"]) for row in said["verdicts"]] == [
        ("vision", None), ("person", "operator one"),
    ]  # fmt: skip


def test_lists_ask_as_often_for_many_as_for_one(call, plan, lot_of):
    def n_queries(path):
        with CaptureQueriesContext(connection) as asked:
            assert call("viewer", "GET", path)[0] == 200
        return len(asked)

    paths = ("lots", "inspections", "nonconformances", "inspection-plans", "operation-runs")

    def inspect(code):
        lot = lot_of(code)
        services.record_inspection(
            plan_id=plan.pk, lot_id=lot.pk, at=NOON, verdict="fail", note="Bent"
        )

    inspect("L-0")
    before = {path: n_queries(path) for path in paths}
    for n in range(1, 6):
        inspect(f"L-{n}")

    assert {path: n_queries(path) for path in paths} == before
    assert (Lot.objects.count(), Inspection.objects.count()) == (6, 6)
