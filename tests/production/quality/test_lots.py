"""Products, orders, lots, serials and runs: sent once or again, alone or five hundred at once."""

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from production import services
from production.models import Lot, OperationRun
from production.services import IllegalStep, Invalid, LotFields, RunFields, Taken, Unknown
from tests.production.quality.conftest import NOON

HOUR = timedelta(hours=1)


def serial(code, **fields):
    return LotFields(product="B-100", code=code, made_at=NOON, is_serial=True, **fields)


def milled(lot_code, **fields):
    return RunFields(product="B-100", lot=lot_code, operation="20 milling", **fields)


def test_numbers_belong_to_one_thing(bracket):
    with pytest.raises(Taken):
        services.make_product(item_no="B-100", name="Other")
    services.make_order(number="P-1", product=bracket, quantity=Decimal(5))
    with pytest.raises(Taken):
        services.make_order(number="P-1", product=bracket, quantity=Decimal(9))


def test_the_same_lot_may_be_sent_again_and_another_may_not(lot, lot_of):
    assert lot_of().pk == lot.pk
    with pytest.raises(Taken):
        lot_of(quantity=Decimal(21))
    assert [event.state for event in lot.events.all()] == ["created"]


def test_a_serial_is_one_piece_of_the_same_product(bracket, lot, lot_of):
    with pytest.raises(Invalid):
        lot_of("S-1", is_serial=True, quantity=Decimal(2))
    other = services.make_product(item_no="X", name="Other")
    with pytest.raises(Invalid):
        services.make_lot(product=other, code="S-1", made_at=NOON, at=NOON, parent=lot)


def test_a_list_of_lots_takes_what_is_good_and_names_what_is_not(bracket):
    items = [
        serial("S-1", parent="L-9"),  # its lot comes later in the list
        LotFields(product="B-100", code="L-9", made_at=NOON, quantity=Decimal(2)),
        serial("S-2", parent="nowhere"),
        LotFields(product="nothing", code="S-3", made_at=NOON),
        LotFields(product="B-100", code="S-4", made_at=NOON, quantity=Decimal(0)),
        serial("S-5", order="P-404"),
        serial("S-1", parent="L-9"),
    ]
    receipt = services.record_lots(items=items, at=NOON)

    assert (receipt.n_stored, receipt.n_known) == (2, 1)
    assert [(row.index, row.code) for row in receipt.rejected] == [
        (2, "unknown_lot"), (3, "unknown_product"), (4, "invalid"), (5, "unknown_order"),
    ]  # fmt: skip
    assert Lot.objects.get(code="S-1").parent == Lot.objects.get(code="L-9")
    assert services.record_lots(items=items, at=NOON).n_stored == 0


def test_five_hundred_lots_ask_as_often_as_five(bracket):
    def n_queries(n, stem):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            services.record_lots(items=[serial(f"{stem}{i}") for i in range(n)], at=NOON)
        return len(asked)

    assert n_queries(500, "b") == n_queries(5, "a")


def test_a_lot_goes_its_way_step_by_step(lot):
    services.hold_lot(lot_id=lot.pk, at=NOON, text="Looks wrong")
    services.hold_lot(lot_id=lot.pk, at=NOON + HOUR)  # it is held: nothing new
    services.release_lot(lot_id=lot.pk, at=NOON + HOUR)
    with pytest.raises(IllegalStep, match="cannot become recalled"):
        services.move_lot(lot_id=lot.pk, state="recalled", at=NOON + HOUR)
    with pytest.raises(IllegalStep, match="later"):
        services.hold_lot(lot_id=lot.pk, at=NOON)
    services.move_lot(lot_id=lot.pk, state="shipped", at=NOON + 2 * HOUR)

    lot.refresh_from_db()
    events = lot.events.order_by("at", "pk").values_list("state", flat=True)
    assert (lot.state, list(events)) == ("shipped", ["created", "held", "released", "shipped"])


def test_what_is_scrapped_stays_scrapped(lot):
    services.move_lot(lot_id=lot.pk, state="scrapped", at=NOON)
    for state in Lot.State.values:
        if state != "scrapped":
            with pytest.raises(IllegalStep):
                services.move_lot(lot_id=lot.pk, state=state, at=NOON)
    with pytest.raises(Unknown):
        services.hold_lot(lot_id=uuid4(), at=NOON)


def test_a_run_that_is_sent_again_is_the_same_run(lot, machine):
    begun = {"lot": lot, "operation": "20 milling", "at": NOON}
    first = services.start_run(
        **begun, machine_id=machine.pk, started_at=NOON, parameters={"feed": 800, "tool": "T12"}
    )
    services.start_run(**begun, machine_id=machine.pk, started_at=NOON)
    ended = services.finish_run(**begun, ended_at=NOON + HOUR, parameters={"feed": 790})
    late = services.start_run(**begun, machine_id=machine.pk, started_at=NOON)

    assert first.pk == ended.pk == late.pk
    assert (late.state, late.ended_at) == ("finished", NOON + HOUR)
    assert OperationRun.objects.get().parameters == {"feed": 790, "tool": "T12"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"started_at": NOON, "ended_at": NOON - HOUR}, "invalid"),
        ({"ended_at": NOON}, "invalid"),
        ({"started_at": NOON, "machine_id": uuid4()}, "unknown_machine"),
        ({"started_at": NOON, "parameters": {"feed": float("nan")}}, "invalid"),
        ({"started_at": NOON, "parameters": {"tool": "T\0"}}, "invalid"),
        ({"started_at": NOON, "parameters": {"tool": ["T12"]}}, "invalid"),
    ],
)
def test_a_run_that_makes_no_sense_sinks_no_other(lot, machine, fields, code):
    bad = milled("L-1", **{"machine_id": machine.pk, **fields})
    good = milled("L-1", machine_id=machine.pk, started_at=NOON, run_no=2)
    receipt = services.record_runs(items=[bad, good, milled("L-404")], at=NOON)

    assert [(row.index, row.code) for row in receipt.rejected] == [(0, code), (2, "unknown_lot")]
    assert OperationRun.objects.get().run_no == 2


def test_many_runs_ask_as_often_as_few(lot, machine):
    def n_queries(first, last):
        items = [
            milled("L-1", machine_id=machine.pk, started_at=NOON, run_no=n)
            for n in range(first, last)
        ]
        with CaptureQueriesContext(connection) as asked:
            assert services.record_runs(items=items, at=NOON).n_stored == last - first
        return len(asked)

    assert n_queries(10, 400) == n_queries(1, 6)
