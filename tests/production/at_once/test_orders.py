"""Several workers and phones that reach for the same order at the same time."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection

from production import services
from production.models import Failure, Machine, WorkOrder
from production.services import Actor, FailureCode, NotPossible
from tenants.context import factory_context
from tests.telemetry.ingest.conftest import Plant

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
N_AT_ONCE = 4
JOIN_S = 60


@pytest.fixture
def machine(plant: Plant) -> Iterator[Machine]:
    with plant.inside("mills"):
        kind = services.machine_type(name="Mill", component="Spindle bearing")
        known = Machine.objects.filter(name="Mill at once").first()
        yield known or services.add_machine(name="Mill at once", machine_type=kind)


def at_once(work: Callable[[], object]) -> list[object]:
    """Do the same on several connections; return what each returned, or what it raised."""
    gate, results = threading.Barrier(N_AT_ONCE), []

    def run() -> None:
        try:
            with factory_context("mills"):
                connection.ensure_connection()
                gate.wait(JOIN_S)
                results.append(work())
        except NotPossible as refusal:
            results.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(N_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert len(results) == N_AT_ONCE
    return results


def test_one_finding_makes_one_order(machine):
    key = str(uuid4())
    found = at_once(
        lambda: (
            services.propose_work_order(
                machine_id=machine.pk, title="Bearing", dedup_key=key, at=NOON, reason="Same"
            ).pk
        )
    )

    assert len(set(found)) == 1
    assert WorkOrder.objects.filter(dedup_key=key).count() == 1


def test_numbers_are_given_once(machine):
    numbers = at_once(
        lambda: (
            services.create_work_order(machine_id=machine.pk, title="Leak", at=NOON, by=None).number
        )
    )

    assert len(set(numbers)) == N_AT_ONCE


def test_one_request_reports_one_order(machine):
    request_id = uuid4()
    found = at_once(
        lambda: (
            services.create_work_order(
                machine_id=machine.pk, title="Leak", at=NOON, by=None, request_id=request_id
            ).pk
        )
    )

    assert len(set(found)) == 1


@pytest.mark.parametrize("is_same_request", [True, False])
def test_a_failure_is_recorded_by_one_of_many(machine, is_same_request):
    order = services.create_work_order(machine_id=machine.pk, title="Leak", at=NOON, by=None)
    request_id = uuid4()
    before = Failure.objects.count()
    results = at_once(
        lambda: services.complete(
            order=WorkOrder.objects.get(pk=order.pk), at=NOON, by=None, verdict="real",
            code=FailureCode(mode="leak"), request_id=request_id if is_same_request else uuid4(),
        )
    )  # fmt: skip

    assert Failure.objects.count() == before + 1
    n_refused = sum(isinstance(result, NotPossible) for result in results)
    assert n_refused == (0 if is_same_request else N_AT_ONCE - 1)


def test_a_tap_that_comes_several_times_books_once(machine):
    order = services.create_work_order(machine_id=machine.pk, title="Leak", at=NOON, by=None)
    actor = Actor(None, NOON, uuid4())
    at_once(
        lambda: services.add_labour(order=order, minutes=5, rate_minor_per_h=None, actor=actor).pk
    )

    assert order.labour.count() == 1
