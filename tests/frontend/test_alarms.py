"""The pages of alarms: the list, one alarm, the rules, the editor with its preview."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from telemetry.models import Alarm, AlarmFlood, AlarmPoint, AlarmRule
from telemetry.services import alarm_rules

CONDITION = {"threshold": {"signal": "vib", "op": ">", "value": 4.5}}


@pytest.fixture
def rule(in_acme):
    fields = {"name": "Shakes", "severity": 2, "condition": CONDITION, "advice": "Check the tool."}
    return alarm_rules.create_rule(fields=fields, by=None, at=timezone.now())


@pytest.fixture
def raise_alarm(rule, mill):
    point = AlarmPoint.objects.create(rule=rule, machine=mill)

    def make(*, ago_s=60, cleared=False, **fields):
        at = timezone.now() - timedelta(seconds=ago_s)
        return Alarm.objects.create(
            point=point, rule_version=1, severity=rule.severity, raised_at=at, sounded_at=at,
            noticed_at=at, cleared_at=at + timedelta(seconds=1) if cleared else None, **fields,
        )  # fmt: skip

    return make


def text_of(answer, status=200):
    assert answer.status_code == status, answer.content[:2000]
    return answer.content.decode()


def test_without_a_rule_the_page_says_what_it_is_for(in_acme, portal):
    page = text_of(portal("engineer").get("/alarms/"))

    assert "No open alarms" in page
    assert "Make the first rule" in page
    assert "Make the first rule" not in text_of(portal("operator").get("/alarms/"))


def test_an_open_alarm_is_taken_and_moves_to_the_next_group(raise_alarm, portal):
    alarm = raise_alarm()
    operator = portal("operator")
    before = text_of(operator.get("/alarms/"))

    operator.post(f"/alarms/{alarm.pk}/act/", {"action": "acknowledge", "back": "list"})
    after = text_of(operator.get("/alarms/"))

    assert 'id="group-open"' in before
    assert "Nobody yet" in before
    assert 'id="group-open"' not in after
    assert 'id="group-taken"' in after
    assert "operator one" in after


def test_the_bell_counts_open_alarms_on_every_page_with_one_query(raise_alarm, portal):
    raise_alarm()
    owner = portal()

    with CaptureQueriesContext(connection) as asked:
        page = text_of(owner.get("/devices/"))

    assert 'href="/alarms/" id="bell"' in page
    assert "open alarm<" in page
    assert sum('"telemetry_alarm"' in query["sql"] for query in asked) == 1


def test_a_flood_is_one_row_with_a_count(raise_alarm, portal, rule):
    at = timezone.now()
    flood = AlarmFlood.objects.create(rule=rule, started_at=at, last_at=at, n_alarms=12)
    for n in range(12):
        raise_alarm(ago_s=n + 10, cleared=n > 0, flood=flood)

    page = text_of(portal().get("/alarms/"))

    assert "Show 11" in page  # the cleared ones; the open one stands by itself
    assert text_of(portal().get(f"/alarms/?flood={flood.pk}")).count('class="al old"') == 11


def test_one_alarm_says_what_happened_and_what_helps(raise_alarm, heard, portal):
    heard({"vib": 5.1})
    alarm = raise_alarm()

    page = text_of(portal("operator").get(f"/alarms/{alarm.pk}/"))

    assert "vib of Mill 1 has been above 4.5" in page
    assert "Check the tool." in page
    assert "<polyline" in page
    assert "I take it" in page


def test_a_viewer_reads_and_may_not_act(raise_alarm, portal):
    alarm = raise_alarm()
    viewer = portal("viewer")

    assert "I take it" not in text_of(viewer.get(f"/alarms/{alarm.pk}/"))
    answer = viewer.post(f"/alarms/{alarm.pk}/act/", {"action": "acknowledge"})
    assert answer.status_code == 403


FORM = {
    "name": "Too warm", "scope": "factory", "severity": "2", "schedule": "always", "join": "",
    "one-kind": ">", "one-signal": "vib", "one-value": "4.5", "one-minutes": "0.5",
    "hold_minutes": "5",
}  # fmt: skip


def test_a_rule_is_made_without_seeing_json(heard, portal):
    heard({"vib": 5.1})
    answer = portal("engineer").post("/alarms/rules/new/", FORM)

    assert answer.status_code == 302, answer.content[:3000]
    assert AlarmRule.objects.get().condition == {
        "duration": {
            "for_s": 30.0,
            "condition": {"threshold": {"signal": "vib", "op": ">", "value": 4.5, "clear": 4.5}},
        }
    }


def test_the_form_shows_a_rule_as_it_was_saved(heard, portal, mill):
    heard({"vib": 5.1, "temp": 20.0})
    second = {
        "scope": f"machine:{mill.pk}",
        "join": "all", "two-kind": "no_data", "two-signal": "temp", "two-minutes": "7",
        "schedule": "weekly", "days": ["1", "2"], "starts": "06:00", "ends": "14:00",
    }  # fmt: skip
    engineer = portal("engineer")
    engineer.post("/alarms/rules/new/", {**FORM, **second})
    rule = AlarmRule.objects.get()
    page = text_of(engineer.get(f"/alarms/rules/{rule.pk}/"))

    engineer.post(f"/alarms/rules/{rule.pk}/", {**FORM, **second, "name": "Warm"})

    assert 'value="7.0"' in page
    again = AlarmRule.objects.get()
    assert (again.name, again.version, again.condition) == ("Warm", 1, rule.condition)


def test_what_is_missing_is_listed_and_typed_text_stays(heard, portal):
    heard({"vib": 5.1})
    answer = portal("engineer").post("/alarms/rules/new/", {**FORM, "one-value": ""})
    page = text_of(answer, 422)

    assert "Give a limit." in page
    assert 'value="Too warm"' in page


def test_the_preview_shows_when_it_would_have_sounded(heard, portal):
    heard({"vib": 5.1}, at=timezone.now() - timedelta(minutes=10))
    answer = portal("engineer").post("/alarms/rules/new/", {**FORM, "preview": "1", "range": "1"})

    assert "It would have sounded 1 times on 1 of 1 machines" in text_of(answer)
    assert not AlarmRule.objects.exists()


def test_a_rule_too_rich_for_the_form_keeps_its_conditions(rule, portal):
    rich = {"repeat": {"times": 3, "within_s": 60, "condition": CONDITION}}
    alarm_rules.change_rule(rule=rule, changes={"condition": rich}, by=None, at=timezone.now())
    engineer = portal("engineer")
    page = text_of(engineer.get(f"/alarms/rules/{rule.pk}/"))

    engineer.post(f"/alarms/rules/{rule.pk}/", {**FORM, "name": "Shakes thrice"})

    assert "more than this form can show" in page
    rule.refresh_from_db()
    assert rule.name == "Shakes thrice"
    assert "repeat" in rule.condition


def test_rules_are_exported_and_imported(rule, portal):
    engineer = portal("engineer")
    text = text_of(engineer.get("/alarms/rules/export.yaml"))

    tried = text_of(engineer.post("/alarms/rules/import/", {"text": text}))
    wrong = text_of(
        engineer.post("/alarms/rules/import/", {"text": text.replace("severity", "bad")}), 422
    )

    assert "0 would be made, 0 changed, 1 stay" in tried
    assert "shakes" in wrong
    assert "Nothing was changed." in wrong
