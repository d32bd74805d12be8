"""Alarms and rules over the API."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from telemetry.models import Alarm, AlarmPoint, AlarmRule
from telemetry.services import alarm_rules
from tests.conftest import PUBLIC_HOST
from tests.frontend.conftest import device, heard, mill

__all__ = ["device", "heard", "mill"]  # fixtures

RULE = {
    "name": "Spindle vibration",
    "severity": 3,
    "condition": {"threshold": {"signal": "vib", "op": ">", "value": 4.5}},
}


@pytest.fixture
def call(api_key):
    def send(method, path, data=None):
        return Client().generic(
            method, f"/api/v1/{path}", data=_json(data), content_type="application/json",
            secure=True, HTTP_HOST=PUBLIC_HOST, HTTP_AUTHORIZATION=f"Bearer {api_key}",
        )  # fmt: skip

    return send


def _json(data):
    return b"" if data is None else json.dumps(data).encode()


@pytest.fixture
def alarm(mill):
    at = timezone.now()
    rule = alarm_rules.create_rule(fields=RULE, by=None, at=at)
    point = AlarmPoint.objects.create(rule=rule, machine=mill)
    return Alarm.objects.create(
        point=point, rule_version=1, severity=3, raised_at=at, sounded_at=at, noticed_at=at
    )


def test_a_rule_is_made_changed_and_deleted(in_acme, call):
    made = call("POST", "alarm-rules", RULE)
    assert made.status_code == 201, made.content
    place = f"alarm-rules/{made.json()['id']}"

    changed = call("PATCH", place, {"severity": 1, "advice": "Stop it."})

    assert made.json()["key"] == "spindle-vibration"
    assert made.json()["condition"]["threshold"]["clear"] == 4.5
    assert (changed.json()["severity"], changed.json()["version"]) == (1, 1)
    assert call("DELETE", place).status_code == 204
    assert call("GET", place).status_code == 404


def test_what_is_wrong_with_a_rule_is_named(in_acme, call):
    answer = call("POST", "alarm-rules", {**RULE, "condition": {"all": [{"threshold": {}}]}})

    assert answer.status_code == 409
    assert "condition.all[0].threshold.signal" in answer.json()["detail"]


def test_a_scope_needs_its_object_and_no_other(in_acme, call, mill):
    without = call("POST", "alarm-rules", {**RULE, "scope": "machine"})
    other = call("POST", "alarm-rules", {**RULE, "machine": str(mill.pk)})
    right = call("POST", "alarm-rules", {**RULE, "scope": "machine", "machine": str(mill.pk)})

    assert (without.status_code, other.status_code, right.status_code) == (409, 409, 201)


def test_a_key_is_taken_once(in_acme, call):
    call("POST", "alarm-rules", {**RULE, "key": "one"})

    assert call("POST", "alarm-rules", {**RULE, "key": "one"}).status_code == 409


def test_alarms_are_taken_once(alarm, call):
    (found,) = call("GET", "alarms").json()["results"]
    taken = call("POST", f"alarms/{alarm.pk}/actions", {"action": "acknowledge", "text": "Me"})
    again = call("POST", f"alarms/{alarm.pk}/actions", {"action": "acknowledge"})

    assert (found["target"], found["name"]) == ("Mill 1", "Spindle vibration")
    assert [event["kind"] for event in taken.json()["events"]] == ["acknowledged"]
    assert again.status_code == 409
    assert call("GET", "alarms").json()["results"] == []
    assert len(call("GET", "alarms?state=taken").json()["results"]) == 1


def test_a_shelf_needs_a_reason_and_an_end(alarm, call):
    place, until = f"alarms/{alarm.pk}/actions", timezone.now() + timedelta(hours=1)
    asked = {"action": "shelve", "text": "Sensor on order", "until": until.isoformat()}

    assert call("POST", place, {**asked, "text": ""}).status_code == 409
    assert call("POST", place, {"action": "shelve", "text": "x"}).status_code == 409
    assert call("POST", place, asked).json()["shelved_until"] is not None
    assert len(call("GET", "alarms?state=silent").json()["results"]) == 1


def test_rules_travel_as_yaml(in_acme, call):
    call("POST", "alarm-rules", RULE)
    text = call("GET", "alarm-rules/yaml").json()["yaml"]

    done = call("POST", "alarm-rules/yaml", {"yaml": text}).json()
    wrong = call("POST", "alarm-rules/yaml", {"yaml": text.replace("severity: 3", "severity: 7")})

    assert done == {"created": [], "changed": [], "unchanged": ["spindle-vibration"]}
    assert wrong.status_code == 409
    assert wrong.json()["detail"]["rules"][0]["rule"] == "spindle-vibration"
    assert AlarmRule.objects.count() == 1


def test_operators_take_alarms_and_engineers_make_rules(alarm, portal):
    act = f"/api/v1/alarms/{alarm.pk}/actions"
    asked = {
        role: (
            portal(role).post(act, {"action": "comment", "text": "x"}, content_type=JSON),
            portal(role).post("/api/v1/alarm-rules", RULE, content_type=JSON),
        )
        for role in ("viewer", "operator", "engineer")
    }

    statuses = {role: (a.status_code, b.status_code) for role, (a, b) in asked.items()}
    assert statuses == {"viewer": (403, 403), "operator": (200, 403), "engineer": (200, 201)}


JSON = "application/json"


def test_a_preview_needs_no_saved_rule(heard_above, call):
    now = timezone.now()
    asked = {**RULE, "start": (now - timedelta(hours=1)).isoformat(), "end": now.isoformat()}

    (found,) = call("POST", "alarm-rules/preview", asked).json()

    assert (found["target"], len(found["firings"])) == ("Mill 1", 1)
    assert found["firings"][0]["evidence"] == {"vib": 5.0}


@pytest.fixture
def heard_above(heard):
    return heard({"vib": 5.0}, at=timezone.now() - timedelta(minutes=5))
