"""The life of a work order, from a finding to a verdict."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from production import selectors, services
from production.models import Failure, WorkOrder
from production.services import FailureCode, FailureNotCoded, NotPossible, VerdictMissing
from tests.production.conftest import NOON

LATER = NOON + timedelta(hours=3)
VIBRATION = FailureCode(mode="vibration", mechanism="mechanical", cause="operation")


def kinds(order):
    return [event.kind for event in selectors.order_events(order)]


def test_orders_are_numbered_without_gaps(reported, machine):
    with pytest.raises(services.NoSuchMachine):
        services.create_work_order(machine_id=uuid4(), title="Nowhere", at=NOON, by=None)
    second = services.create_work_order(machine_id=machine.pk, title="Leak", at=NOON, by=None)

    assert (reported.label, second.label) == ("WO-000001", "WO-000002")
    assert reported.currency == "EUR"


def test_the_same_finding_makes_one_order_and_says_what_is_new(proposed, machine):
    finding = {
        "machine_id": machine.pk, "title": "Replace the spindle bearing",
        "dedup_key": "wear:mill-1", "at": LATER,
    }  # fmt: skip
    same = services.propose_work_order(**finding, reason=proposed.reason)
    assert (same.pk, kinds(same)) == (proposed.pk, ["created"])

    worse = services.propose_work_order(**finding, reason="Now 3.4x.", priority=1)

    assert (worse.pk, worse.priority, worse.reason) == (proposed.pk, 1, "Now 3.4x.")
    assert (worse.n_findings, kinds(worse)) == (2, ["created", "finding"])


def test_a_finding_whose_numbers_change_is_told_once_a_day(proposed, machine):
    for hours in range(1, 49):
        order = services.propose_work_order(
            machine_id=machine.pk, title=proposed.title, dedup_key="wear:mill-1",
            at=NOON + timedelta(hours=hours), reason=f"Vibration {hours}x its usual level.",
        )  # fmt: skip

    assert kinds(order) == ["created", "finding", "finding"]
    assert order.reason == "Vibration 48x its usual level."


def test_what_a_person_approved_keeps_its_words(proposed, machine, operator):
    services.approve(order=proposed, at=NOON, by=operator)
    again = services.propose_work_order(
        machine_id=machine.pk, title="Other words", dedup_key="wear:mill-1", priority=2,
        at=NOON + timedelta(days=1), reason="New.",
    )  # fmt: skip

    assert (again.title, again.state) == ("Replace the spindle bearing", "approved")
    assert again.priority == 2
    assert [e.text for e in selectors.order_events(again)] == ["", "", "New."]


def test_after_an_order_is_closed_the_finding_makes_a_new_one(proposed, machine, operator):
    services.reject(order=proposed, at=LATER, by=operator, text="Replaced last week")
    second = services.propose_work_order(
        machine_id=machine.pk, title="Again", dedup_key="wear:mill-1", at=LATER
    )

    assert second.pk != proposed.pk


def test_the_database_keeps_one_open_order_a_finding(proposed):
    proposed.pk, proposed.number, proposed._state.adding = uuid4(), 99, True
    with pytest.raises(IntegrityError), transaction.atomic():
        proposed.save()


def test_a_double_tap_reports_one_order(machine, operator):
    request_id = uuid4()
    first, second = (
        services.create_work_order(
            machine_id=machine.pk, title="Leak", at=NOON, by=operator, request_id=request_id
        )
        for _ in range(2)
    )

    assert first.pk == second.pk
    assert WorkOrder.objects.count() == 1


def test_a_real_failure_is_recorded_once(proposed, operator):
    services.approve(order=proposed, at=NOON, by=operator)
    services.start(order=proposed, at=NOON, by=operator)
    request_id = uuid4()
    for _ in range(2):
        services.complete(
            order=proposed, at=LATER, by=operator, verdict="real", note="Outer race pitted",
            code=VIBRATION, request_id=request_id,
        )  # fmt: skip

    failure = Failure.objects.get()
    assert (failure.failed_at, failure.restored_at) == (NOON, LATER)
    assert (failure.mode, failure.mechanism, failure.component) == (
        "vibration", "mechanical", "Spindle bearing",
    )  # fmt: skip
    assert failure.source == proposed.label
    assert proposed.failure == failure
    assert kinds(proposed) == ["created", "approved", "started", "done"]


def test_done_cannot_be_done_again_by_somebody_else(proposed, operator):
    services.approve(order=proposed, at=NOON, by=operator)
    done = {"order": proposed, "at": LATER, "by": operator, "verdict": "real", "code": VIBRATION}
    services.complete(**done)

    with pytest.raises(NotPossible, match="WO-000001 is done"):
        services.complete(**done, request_id=uuid4())
    assert Failure.objects.count() == 1


def test_the_standstill_says_when_the_failure_began(proposed, operator):
    services.approve(order=proposed, at=NOON, by=operator)
    done = services.complete(
        order=proposed, at=LATER, by=operator, verdict="real", code=VIBRATION, downtime_minutes=90
    )

    assert done.failure is not None
    assert done.failure.failed_at == LATER - timedelta(minutes=90)


@pytest.mark.parametrize("verdict", ["false_alarm", "cause_found_other", "not_found", "prevented"])
def test_other_verdicts_record_no_failure(proposed, operator, verdict):
    services.approve(order=proposed, at=NOON, by=operator)
    services.complete(order=proposed, at=LATER, by=operator, verdict=verdict)

    assert not Failure.objects.exists()
    (label,) = selectors.verdicts(sources=["prediction"])
    assert (label.verdict, label.judged_at, label.source_ref) == (verdict, LATER, "prediction:17")


def test_a_finding_needs_a_verdict_and_a_failure_its_mode(proposed, operator):
    services.approve(order=proposed, at=NOON, by=operator)

    with pytest.raises(VerdictMissing):
        services.complete(order=proposed, at=LATER, by=operator)
    with pytest.raises(FailureNotCoded):
        services.complete(order=proposed, at=LATER, by=operator, verdict="real")
    proposed.refresh_from_db()
    assert proposed.state == "approved"


def test_a_proposal_waits_for_approval_and_a_breakdown_does_not(proposed, reported, operator):
    with pytest.raises(NotPossible):
        services.start(order=proposed, at=NOON, by=operator)

    services.start(order=reported, at=NOON, by=operator)
    assert reported.state == "in_work"


def test_a_rejected_proposal_may_be_a_label_but_not_a_success(proposed, operator):
    with pytest.raises(NotPossible, match="after the work"):
        services.reject(order=proposed, at=NOON, by=operator, text="-", verdict="prevented")
    services.reject(
        order=proposed, at=NOON, by=operator, text="Sensor was loose", verdict="false_alarm"
    )

    assert [label.verdict for label in selectors.verdicts()] == ["false_alarm"]


def test_verdicts_are_of_a_machine_type_and_since(proposed, operator, machine):
    services.approve(order=proposed, at=NOON, by=operator)
    services.complete(order=proposed, at=NOON, by=operator, verdict="prevented")
    kind = machine.machine_type_id

    assert len(selectors.verdicts(machine_type_id=kind, since=NOON)) == 1
    assert selectors.verdicts(machine_type_id=kind, since=LATER) == []
    assert selectors.verdicts(machine_type_id=uuid4()) == []


def test_an_order_is_given_only_to_a_member(proposed, operator):
    from tenants.models import User

    stranger = User.objects.get(email="outsider@example.com")
    given = {"order": proposed, "scheduled_for": LATER, "at": NOON, "by": None}
    with pytest.raises(services.NotAMember):
        services.schedule(**given, assigned_to=stranger)
    services.schedule(**given, assigned_to=operator)

    assert (proposed.state, proposed.assigned_to) == ("scheduled", operator)


def test_open_orders_come_by_due_time(machine, proposed):
    def made(title, **due):
        return services.create_work_order(
            machine_id=machine.pk, title=title, at=NOON, by=None, **due
        )

    made("later", due_by=LATER)
    made("sooner", due_by=NOON)

    assert [order.title for order in selectors.open_orders()] == [
        "sooner", "later", proposed.title,
    ]  # fmt: skip


def test_another_factory_sees_no_orders(proposed, globex):
    from tenants.context import factory_context

    with factory_context(globex):
        assert not selectors.work_orders().exists()
