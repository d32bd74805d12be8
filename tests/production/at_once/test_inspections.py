"""Several inspectors, cameras and systems that reach for the same lot or inspection at once."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection

from production import services
from production.models import Inspection, Lot, LotEvent, Nonconformance, OperationRun
from production.services import (
    CharacteristicFields,
    InspectionPlanFields,
    LotFields,
    NotPossible,
    Receipt,
)
from tenants.context import factory_context
from tests.production.at_once.test_orders import machine
from tests.telemetry.ingest.conftest import Plant

__all__ = ["machine"]
NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
N_AT_ONCE = 4
JOIN_S = 60
FIELDS = InspectionPlanFields(
    name="Final", sampling="per_lot", sample_n=1, acceptance_number=3,
    characteristics=(CharacteristicFields(name="Bore", upper_limit=1.0),),
)  # fmt: skip


def at_once(works: list[Callable[[], object]]) -> list[object]:
    """Do each on a connection of its own, all at once; return what came of it, or the refusal."""
    gate, results = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        try:
            with factory_context("mills"):
                connection.ensure_connection()
                gate.wait(JOIN_S)
                results.append(work())
        except NotPossible as refusal:
            results.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert len(results) == len(works), "somebody raised or waits for ever"
    return results


@pytest.fixture
def plan(plant: Plant):
    with plant.inside("mills"):
        product = services.make_product(item_no=uuid4().hex[:12], name="Bracket")
        yield services.make_inspection_plan(product_id=product.pk, fields=FIELDS, at=NOON, by=None)


@pytest.fixture
def lot(plan):
    return services.make_lot(
        product=plan.product, code="L-1", quantity=Decimal(20), made_at=NOON, at=NOON
    )


def recording(plan, lot, **fields):
    said = {"verdict": "fail", "note": "Bent", "at": NOON, **fields}
    return lambda: services.record_inspection(plan_id=plan.pk, lot_id=lot.pk, **said).pk


def test_one_request_records_one_inspection(plan, lot):
    request_id = uuid4()
    found = at_once([recording(plan, lot, piece="1", request_id=request_id)] * N_AT_ONCE)

    assert len(set(found)) == 1
    assert Nonconformance.objects.filter(lot=lot).count() == 1


def test_two_cameras_do_one_due_inspection_once_each(plan, lot):
    due = Inspection.objects.get(lot=lot, state="due")
    found = at_once([recording(plan, lot, piece=due.piece)] * 2)

    assert len(set(found)) == 2
    assert due.pk in found


def test_the_piece_that_is_too_many_holds_the_lot_whoever_comes_last(plan, lot):
    at_once([recording(plan, lot, piece=str(n)) for n in range(4)])

    lot.refresh_from_db()
    assert lot.state == "held"
    assert LotEvent.objects.filter(lot=lot, state="held").count() == 1


def test_two_who_judge_at_once_leave_the_newest_verdict(plan, lot):
    inspection_id = recording(plan, lot, piece="9")()

    def judging(verdict):
        return lambda: (
            services.judge(
                inspection_id=inspection_id, verdict=verdict, at=NOON, by=None, note="Looked again"
            ).verdict
        )

    at_once([judging("pass"), judging("fail"), judging("pass"), judging("fail")])

    found = Inspection.objects.get(pk=inspection_id)
    newest = found.verdicts.order_by("-at", "-pk")[0]
    is_open = Nonconformance.objects.get(inspection=found).state == "open"
    assert found.verdicts.count() == 5
    assert (found.verdict, is_open) == (newest.verdict, newest.verdict == "fail")


def test_results_and_a_new_version_of_the_plan_do_not_cross(plan, lot):
    def revise():
        return services.revise_inspection_plan(plan_id=plan.pk, fields=FIELDS, at=NOON, by=None).pk

    at_once([recording(plan, lot, piece="1"), revise, recording(plan, lot, piece="2"), revise])

    for found in Inspection.objects.filter(lot=lot, state="done"):
        assert found.plan.characteristics.count() == 1
    plans = type(plan).objects.filter(product=plan.product, state="released")
    assert plans.count() == 1


def test_lots_that_two_systems_send_in_another_order_are_stored_once(plan):
    def items(codes):
        number = plan.product.item_no
        return [
            LotFields(product=number, code="L-0", made_at=NOON, quantity=Decimal(30)),
            *(LotFields(product=number, code=c, made_at=NOON, is_serial=True, parent="L-0")
              for c in codes),
        ]  # fmt: skip

    codes = [f"S-{n}" for n in range(25)]
    receipts = at_once(
        [
            lambda: services.record_lots(items=items(codes), at=NOON),
            lambda: services.record_lots(items=items(codes[::-1]), at=NOON),
        ]
    )

    stored = Lot.objects.filter(product=plan.product)
    n_stored = sum(receipt.n_stored for receipt in receipts if isinstance(receipt, Receipt))
    assert n_stored == stored.count() == 26
    assert set(stored.filter(is_serial=True).values_list("parent__code")) == {("L-0",)}
    assert LotEvent.objects.filter(lot__in=stored).count() == 26


def test_a_run_that_is_sent_twice_at_once_is_one_run(plan, lot, machine):
    def finish():
        return services.finish_run(
            lot=lot, operation="20 milling", machine_id=machine.pk, started_at=NOON,
            ended_at=NOON, at=NOON,
        ).pk  # fmt: skip

    assert len(set(at_once([finish] * N_AT_ONCE))) == 1
    assert OperationRun.objects.filter(lot=lot).count() == 1
