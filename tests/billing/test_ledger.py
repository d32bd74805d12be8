"""From stored readings to the ledger: recounted, append-only, with reasons."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import services
from billing.models import LedgerDelivery, LedgerEntry
from billing.plans import Meter
from tests.billing.conftest import HOUR, NOV_1, Facts

NOON = NOV_1 + timedelta(days=9, hours=12)


def totals(factory) -> dict[str, int]:
    rows = LedgerEntry.objects.filter(account__factory=factory).values_list("meter")
    return dict(rows.annotate(Sum("quantity")))


def rows(factory, meter: Meter) -> list[tuple]:
    found = LedgerEntry.objects.filter(account__factory=factory, meter=meter)
    return list(found.order_by("hour", "revision").values_list("quantity", "revision", "reason"))


def test_full_hours_are_counted_and_the_open_hour_is_not(acme, readings):
    readings.add("machine:a", NOON - HOUR, 60)
    readings.add("machine:a", NOON, 30)

    services.roll_up(factory=acme, until=NOON + timedelta(minutes=30), at=NOON)

    assert totals(acme) == {Meter.READINGS: 60, Meter.ACTIVE_MACHINES: 1}


def test_counting_again_changes_nothing(acme, readings):
    readings.add("machine:a", NOON - HOUR, 60)
    services.roll_up(factory=acme, until=NOON, at=NOON)

    assert services.roll_up(factory=acme, until=NOON, at=NOON + HOUR) == 0


def test_late_readings_add_a_revision_with_its_reason(acme, readings):
    readings.add("machine:a", NOON - HOUR, 60)
    services.roll_up(factory=acme, until=NOON, at=NOON)
    readings.add("machine:a", NOON - HOUR, 5, at=NOON + HOUR)

    services.roll_up(factory=acme, until=NOON + 2 * HOUR, at=NOON + 2 * HOUR)

    assert rows(acme, Meter.READINGS) == [(60, 0, "counted"), (5, 1, "late_data")]


def test_an_earlier_first_reading_moves_the_hour_in_which_a_machine_counts(acme, readings):
    readings.add("machine:a", NOON - HOUR, 60)
    services.roll_up(factory=acme, until=NOON, at=NOON)
    readings.add("machine:a", NOON - 9 * HOUR, 1, at=NOON)

    services.roll_up(factory=acme, until=NOON, at=NOON)

    assert rows(acme, Meter.ACTIVE_MACHINES) == [
        (1, 0, "late_data"),
        (1, 0, "counted"),
        (-1, 1, "late_data"),
    ]
    assert totals(acme)[Meter.ACTIVE_MACHINES] == 1


def test_readings_for_a_month_that_is_closed_are_billed_in_the_hour_they_were_counted(
    acme, readings
):
    december = NOV_1 + timedelta(days=32)
    readings.add("machine:a", NOON, 60)
    services.roll_up(factory=acme, until=NOON + HOUR, at=NOON + HOUR)
    readings.add("machine:a", NOON, 5, at=december)

    services.roll_up(factory=acme, until=december, at=december)

    late = LedgerEntry.objects.get(reason="late_data")
    assert (late.hour, late.billed_hour, late.quantity) == (NOON, december, 5)


def test_a_month_is_open_while_its_invoice_is_a_draft(acme, readings):
    december = NOV_1 + timedelta(days=30)
    services.roll_up(factory=acme, until=december - HOUR, at=december - HOUR)
    readings.add("machine:a", december - HOUR, 7, at=december)

    services.roll_up(factory=acme, until=december, at=december + timedelta(minutes=5))

    entry = LedgerEntry.objects.get(meter=Meter.READINGS)
    assert entry.billed_hour == december - HOUR


def test_a_device_without_a_machine_counts_as_one(acme, readings):
    readings.add("device:7", NOON - HOUR, 1)
    readings.add("machine:a", NOON - HOUR, 1)

    services.roll_up(factory=acme, until=NOON, at=NOON)

    assert totals(acme)[Meter.ACTIVE_MACHINES] == 2


def test_usage_on_the_free_plan_is_counted_and_never_charged(acme, readings):
    readings.add("machine:a", NOON - HOUR, 60)

    services.roll_up(factory=acme, until=NOON, at=NOON)

    assert not LedgerDelivery.objects.exists()


def test_a_factory_s_usage_goes_to_its_own_ledger_only(acme, globex, readings):
    readings.add("machine:a", NOON - HOUR, 60, schema="acme")
    readings.add("machine:g", NOON - HOUR, 7, schema="globex")

    services.roll_up(factory=acme, until=NOON, at=NOON)
    services.roll_up(factory=globex, until=NOON, at=NOON)

    assert totals(acme)[Meter.READINGS] == 60
    assert totals(globex)[Meter.READINGS] == 7


@pytest.mark.parametrize("change", ["update", "delete"])
def test_a_row_of_the_ledger_can_be_neither_changed_nor_deleted(acme, readings, change):
    readings.add("machine:a", NOON - HOUR, 60)
    services.roll_up(factory=acme, until=NOON, at=NOON)
    entries = LedgerEntry.objects.filter(account__factory=acme)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        entries.update(quantity=1) if change == "update" else entries._raw_delete(entries.db)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantity": 0},
        {"revision": -1},
        {"hour": NOON + timedelta(minutes=1)},
        {"billed_hour": NOON - HOUR},
        {"meter": "coffee"},
    ],
)
def test_the_database_refuses_what_cannot_be_a_row(acme, wrong):
    account = services.account_for(acme)
    fields = {"meter": Meter.READINGS, "hour": NOON, "billed_hour": NOON, "quantity": 1}
    fields |= {"reason": "counted", "identifier": "x", "written_at": NOON, **wrong}

    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerEntry.objects.create(account=account, **fields)


uploads = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from("abc"), st.integers(1, 9), st.booleans()),
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(uploads)
def test_the_ledger_ends_at_the_facts_in_whatever_order_they_come(acme, monkeypatch, uploads):
    from billing import facts

    known = Facts()
    monkeypatch.setattr(facts, "usage", known.usage)
    monkeypatch.setattr(facts, "changed_hours", known.changed_hours)
    end = NOON + 60 * HOUR
    with transaction.atomic():
        point = transaction.savepoint()
        for i, (hour, source, n, counts) in enumerate(uploads):
            at = NOON + timedelta(hours=41, minutes=i)
            known.add(f"machine:{source}", NOON + hour * HOUR, n, at=at)
            if counts:
                services.roll_up(factory=acme, until=at, at=at + timedelta(seconds=1))
        services.roll_up(factory=acme, until=end, at=end)
        found = totals(acme)
        transaction.savepoint_rollback(point)

    assert found.get(Meter.READINGS, 0) == sum(n for _, _, n, _ in uploads)
    assert found.get(Meter.ACTIVE_MACHINES, 0) == len({s for _, s, _, _ in uploads})
