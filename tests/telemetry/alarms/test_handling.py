"""What people do with alarms, and what happens when they do nothing."""

from datetime import timedelta

import pytest
from django.utils import timezone

from telemetry.alarms import announcing, rulebook
from telemetry.models import Alarm, AlarmFlood, AlarmRule
from telemetry.selectors import alarm_preview
from telemetry.selectors import alarms as selectors
from telemetry.services import alarm_rules
from telemetry.services import alarms as services
from telemetry.services.alarm_watching import FactoryWatcher
from tenants.models import AuditEntry, Job, User
from tests.telemetry.alarms.conftest import ABOVE, HELD, kinds, times, values, watch

pytestmark = pytest.mark.slow
S = timedelta(seconds=1)
MIN = timedelta(minutes=1)


@pytest.fixture
def told(monkeypatch):
    """What people would be told: the part that delivers it is tested by itself."""
    heard: list[dict[str, object]] = []
    monkeypatch.setattr(announcing, "tell_people", lambda **said: heard.append(said))
    return heard


@pytest.fixture
def raised(mill, now, told):
    """An alarm that is on, of a rule with two steps of escalation."""
    steps = [{"after_min": 10, "user_ids": []}, {"after_min": 30, "user_ids": []}]
    mill.rule(HELD, escalation=steps, advice="Check the tool.")
    mill.send(values(now - 60 * S, [5.0] * 60))
    watch(now)
    return selectors.alarm(Alarm.objects.get().pk)


def jobs(task):
    rows = Job.objects.filter(task=task, state=Job.State.QUEUED).order_by("created_at")
    return [(job.kwargs, job.not_before) for job in rows]


def test_an_alarm_is_told_with_what_usually_helps(raised, told, mill):
    (said,) = told

    assert said["text"] == (
        f"Vibration of {mill.name} has been above 4.5 mm/s for 50 s (now 5 mm/s)."
        "\nUsually helps: Check the tool."
    )
    assert said["path"] == f"/alarms/{raised.pk}/"


def test_nobody_takes_it_so_the_next_are_told(raised, told):
    at = timezone.now()

    assert services.escalate(alarm_id=raised.pk, step=0, at=at)
    assert not services.escalate(alarm_id=raised.pk, step=0, at=at)  # the same message again

    assert len(told) == 2
    assert kinds(raised.pk) == ["raised", "escalated"]
    (kwargs, not_before) = jobs("telemetry.escalate_alarm")[-1]
    assert (kwargs["alarm_id"], kwargs["step"]) == (raised.pk, 1)
    assert timedelta(minutes=19) < not_before - at < timedelta(minutes=21)


def test_i_take_it_ends_the_escalation(raised, told):
    services.acknowledge(alarm=raised, by=None, at=timezone.now(), comment="Going")

    assert not services.escalate(alarm_id=raised.pk, step=0, at=timezone.now())
    assert len(told) == 1
    with pytest.raises(services.NotPossible):
        services.acknowledge(alarm=raised, by=None, at=timezone.now())


def test_a_shelf_silences_until_its_time_is_over(raised, told, now):
    until = now + timedelta(hours=1)
    services.shelve(alarm=raised, by=None, at=now, until=until, reason="Sensor on order")

    assert selectors.standing(at=now).n_open == 0
    assert not services.escalate(alarm_id=raised.pk, step=0, at=now)
    (kwargs, not_before) = jobs("telemetry.unshelve_alarm")[-1]
    assert abs(not_before - timezone.now() - timedelta(hours=1)) < MIN

    assert services.end_shelf(point_id=kwargs["point_id"], until=until, at=until)
    assert not services.end_shelf(point_id=kwargs["point_id"], until=until, at=until)
    assert selectors.standing(at=until).n_open == 1
    assert len(told) == 2  # it is still on
    assert kinds(raised.pk) == ["raised", "shelved", "unshelved"]


def test_out_of_service_goes_on_recording_in_silence(raised, mill, now):
    services.set_service(alarm=raised, in_service=False, by=None, at=now, reason="Overhaul")
    mill.send(values(now, [1.0]))
    watch(now + 5 * S)

    assert selectors.standing(at=now).n_open == 0
    assert times()[-1][1] == now


def test_a_latched_alarm_stays_until_it_is_reset(mill, now, told):
    mill.rule(HELD, latched=True)
    mill.send(values(now - 60 * S, [5.0] * 30 + [1.0] * 10))
    watch(now)
    alarm = selectors.alarm(Alarm.objects.get().pk)

    assert alarm.cleared_at is not None
    assert selectors.standing(at=now).n_open == 1
    services.reset(alarm=alarm, by=None, at=now)
    assert selectors.standing(at=now).n_open == 0


def test_more_than_ten_in_ten_minutes_are_folded_into_one(mill, now, told):
    mill.rule(ABOVE)
    mill.send(values(now - 300 * S, [1.0, 5.0] * 15, every_s=10))
    watch(now)

    flood = AlarmFlood.objects.get()
    assert Alarm.objects.count() == 15
    assert flood.n_alarms == 15
    assert Alarm.objects.filter(flood=flood).count() == 15
    # Ten were told one by one, the rest once a flood (its key is known).
    keys = [said["key"] for said in told]
    assert len(set(keys)) == 11


def test_outside_its_schedule_an_alarm_is_recorded_and_silent(mill, now, told):
    later = now + timedelta(hours=2)
    window = {"days": "1234567", "from": f"{later:%H:%M}", "to": f"{later + MIN * 60:%H:%M}"}
    mill.rule(HELD, schedule={"kind": "weekly", "windows": [window]}, hold_s=86_400)
    mill.send(values(now - 60 * S, [5.0] * 60))
    watcher = FactoryWatcher(holder="test")
    watch(now, by=watcher)

    assert selectors.standing(at=now).n_open == 0
    assert [a.pk for a in selectors.silent_alarms(at=now)] == [Alarm.objects.get().pk]
    assert told == []

    watch(later + 2 * MIN, by=watcher)
    assert selectors.standing(at=later).n_open == 1
    assert len(told) == 1


def test_a_changed_rule_ends_its_alarms_and_is_audited(raised, now):
    rule = raised.point.rule
    alarm_rules.change_rule(rule=rule, changes={"condition": ABOVE}, by=None, at=now)

    rule.refresh_from_db()
    assert (rule.version, rule.valid_from) == (2, now)
    assert times()[0][1] == now
    assert AuditEntry.objects.latest("id").action == "alarm_rule.changed"


def test_another_text_changes_no_version(raised, now):
    rule = raised.point.rule
    alarm_rules.change_rule(rule=rule, changes={"advice": "Call Jana."}, by=None, at=now)

    assert rule.version == 1
    assert times()[0][1] is None


def test_rules_go_out_and_in_again(mill, now):
    mill.rule(HELD)
    mill.rule({"no_data": {"minutes": 5}}, name="Silence", scope="factory", machine_id=None)
    text = alarm_rules.export_rules()

    again = alarm_rules.import_rules(text=text, by=None, at=now, dry_run=False)
    assert (again.created, again.changed) == ([], [])
    AlarmRule.objects.all().delete()
    tried = alarm_rules.import_rules(text=text, by=None, at=now, dry_run=True)
    assert (len(tried.created), AlarmRule.objects.count()) == (2, 0)
    alarm_rules.import_rules(text=text, by=None, at=now, dry_run=False)
    assert alarm_rules.export_rules() == text


def test_an_import_that_names_what_is_not_there_changes_nothing(mill, now):
    mill.rule(HELD)
    text = alarm_rules.export_rules().replace("machine: ", "machine: no-")

    with pytest.raises(rulebook.BadRulebook) as refused:
        alarm_rules.import_rules(text=text, by=None, at=now, dry_run=False)

    assert refused.value.errors[0]["path"] == "scope.machine"
    assert refused.value.errors[0]["rule"] == "spindle-vibration"


def test_a_preview_finds_what_the_watcher_finds(mill, now):
    rule = mill.rule(HELD, valid_from=now - timedelta(hours=1))
    mill.send(values(now - 600 * S, ([5.0] * 30 + [1.0] * 10) * 5, every_s=2))
    watch(now)

    (seen,) = alarm_preview.preview(rule, start=now - timedelta(hours=1), end=now)

    assert [(one.raised_at, one.cleared_at) for one in seen.firings] == times()
    assert len(seen.firings) == 5
    with pytest.raises(alarm_preview.TooMuch):
        alarm_preview.preview(rule, start=now - timedelta(days=40), end=now)


def test_steps_name_members_only(mill):
    stranger = User.objects.exclude(memberships__factory__schema_name="mills").first()
    assert stranger is not None
    with pytest.raises(alarm_rules.BadRule) as refused:
        mill.rule(HELD, escalation=[{"after_min": 5, "user_ids": [stranger.pk]}])

    assert list(refused.value.errors) == ["escalation[0].user_ids"]
