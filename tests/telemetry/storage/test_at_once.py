"""Compaction beside others who write the same device."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from telemetry import services
from telemetry.models import ForgottenHour, Latest, ReadingHot, Rollup, Segment
from telemetry.services import pieces
from tenants.context import factory_context
from tests.telemetry.history import DAY, SECOND, T0, at, device, each, put_hot, put_open, read
from tests.telemetry.history import without_repeats as has_no_repeats
from tests.telemetry.ingest.conftest import Plant

NOW = at(T0 + 720 * DAY)
JOIN_S = 60


@pytest.fixture
def press(plant: Plant) -> Iterator[int]:
    """A device with readings that wait to be sealed."""
    with plant.inside("mills"):
        found = device("press at once")
        put_hot(found, each(T0, SECOND, 300, lambda i: {"load": i}))
        put_open(found, each(T0 + DAY, SECOND, 300, lambda i: {"load": i, "speed": 2 * i}))
        yield found
        for table in ("reading_hot", "segment", "rollup", "latest"):
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table} WHERE device_id = %s", [found])
                cursor.execute("DELETE FROM telemetry_device WHERE id = %s", [found])


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Do something in the factory over a connection of its own, while the block runs."""

    def run() -> None:
        try:
            with factory_context("mills"):
                work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield thread
    thread.join(JOIN_S)
    assert not thread.is_alive()


def test_a_second_compactor_changes_nothing(press: int, monkeypatch):
    before = read(press)
    seal = pieces.seal
    reached, done = threading.Event(), threading.Event()

    def slowly(piece):
        sealed = seal(piece)
        if threading.current_thread() is not threading.main_thread() and not done.is_set():
            reached.set()
            assert done.wait(JOIN_S)
        return sealed

    monkeypatch.setattr(pieces, "seal", slowly)
    with meanwhile(lambda: services.compact(at=NOW, device_ids=[press])):
        assert reached.wait(JOIN_S)
        # The other one has read and packed, and has not written.
        first = services.compact(at=NOW, device_ids=[press])
        done.set()

    assert first.readings == 600
    assert read(press) == before
    assert has_no_repeats(press)
    assert not ReadingHot.objects.filter(device_id=press).exists()


def test_what_is_revised_while_it_is_packed_holds(press: int, monkeypatch):
    seal = pieces.seal
    n_sealed: list[int] = []

    def and_hear(piece):
        if not n_sealed:
            with meanwhile(lambda: put_hot(press, {T0: {"load": -1.0}, T0 + 7: {"load": 5.0}})):
                pass
        n_sealed.append(1)
        return seal(piece)

    monkeypatch.setattr(pieces, "seal", and_hear)
    services.compact(at=NOW, device_ids=[press])

    found = read(press)
    assert (found[T0], found[T0 + 7], len(found)) == ({"load": -1.0}, {"load": 5.0}, 601)
    assert len(n_sealed) == 2
    assert not ReadingHot.objects.filter(device_id=press).exists()


def test_a_device_that_is_being_written_comes_next_time(press: int):
    before = read(press)
    locked, done = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with transaction.atomic():
            Latest.objects.select_for_update().get(device_id=press)
            locked.set()
            assert done.wait(JOIN_S)

    with meanwhile(write_slowly):
        assert locked.wait(JOIN_S)
        skipped = services.compact(at=NOW, device_ids=[press])
        done.set()
    assert (skipped.skipped, skipped.readings) == (1, 0)
    assert read(press) == before

    assert services.compact(at=NOW, device_ids=[press]).readings == 600
    assert read(press) == before
    assert Segment.objects.filter(device_id=press).count() == 1


def test_hours_that_are_forgotten_while_they_are_sealed_stay_forgotten(press: int, monkeypatch):
    seal = pieces.seal
    reached, done = threading.Event(), threading.Event()

    def slowly(piece):
        sealed = seal(piece)
        if threading.current_thread() is not threading.main_thread() and not done.is_set():
            reached.set()
            assert done.wait(JOIN_S)
        return sealed

    monkeypatch.setattr(pieces, "seal", slowly)
    with meanwhile(lambda: services.compact(at=NOW, device_ids=[press])):
        assert reached.wait(JOIN_S)
        # The other one holds the readings in memory, packed, and has not written.
        n_removed = services.forget_hours(hours=[at(T0)])
        figures = set(Rollup.objects.filter(device_id=press).values_list("t0", "payload"))
        done.set()

    assert n_removed == 300
    assert min(read(press)) == T0 + DAY
    assert len(read(press)) == 300
    assert has_no_repeats(press)
    assert set(Rollup.objects.filter(device_id=press).values_list("t0", "payload")) == figures
    ForgottenHour.objects.all().delete()
