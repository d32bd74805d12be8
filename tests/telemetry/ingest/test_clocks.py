"""How far a device's clock is off, learned from what it sends anyway."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from telemetry.ingest.app import IngestApp
from telemetry.ingest.clocks import SECOND_US, Clock
from tests.telemetry.ingest.conftest import Door, Sender

NOON_US = 1_795_435_200_000_000


def looks(leads_s: list[float], *, every_s: float = 5, n_readings: int = 1) -> list[float | None]:
    """What a clock answers to requests every few seconds whose newest time leads by so much."""
    clock, found = Clock(), []
    for i, lead_s in enumerate(leads_s):
        now = NOON_US + int(i * every_s * SECOND_US)
        newest = now + int(lead_s * SECOND_US)
        found.append(clock.look(now=now, newest=newest, n_readings=n_readings, date=b""))
    return found


def test_a_time_ahead_is_a_clock_ahead_at_once():
    assert looks([90.0]) == [90.0]


def test_the_same_distance_again_and_again_is_a_clock_behind():
    assert looks([-120.4, -120.9, -120.1, -120.5, -120.2, -120.3])[4:] == [-120.1, None]


def test_a_backlog_that_catches_up_says_nothing():
    assert looks([-3600 + 100 * i for i in range(20)]) == [None] * 20


def test_large_requests_say_nothing():
    assert looks([-120.0] * 20, n_readings=500) == [None] * 20


def test_a_right_clock_is_written_once_a_minute():
    found = looks([-0.2] * 40, every_s=5)

    assert [i for i, offset in enumerate(found) if offset is not None] == [4, 16, 28]


def test_a_change_of_more_than_a_second_is_written_at_once():
    assert looks([90.0, 90.5, 92.0]) == [90.0, None, 92.0]


@pytest.mark.parametrize("offset_s", [-86_400 * 365, -90, 0, 90, 86_400 * 365 * 50])
def test_the_date_header_says_it_outright(offset_s: int):
    at = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(seconds=offset_s)
    date = format_datetime(at, usegmt=True).encode()

    found = Clock().look(now=NOON_US, newest=NOON_US, n_readings=1, date=date)

    assert found == pytest.approx(offset_s, abs=1)


@pytest.mark.parametrize(
    "date", [b"soon", b"\xff", b"Tue, 99 Nov 2026 12:00:00 GMT", b"Tue, 17 Nov 2026 12:00:00"]
)
def test_a_date_that_is_none_says_nothing(date: bytes):
    assert Clock().look(now=NOON_US, newest=None, n_readings=1, date=date) is None


async def offset_of(sql, sender: Sender):
    return await sql.fetchval(
        "SELECT clock_offset_s FROM mills.latest WHERE device_id = $1", sender.device_id
    )


async def test_the_offset_stands_beside_the_latest_reading(
    ingest: IngestApp, door: Door, mill: Sender, sql
):
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=75), usegmt=True)

    await door.post({"values": {"a": 1}}, sender=mill, headers={"date": date})
    await ingest._notes.write()

    assert await offset_of(sql, mill) == pytest.approx(-75, abs=2)


async def test_a_clock_so_far_ahead_that_all_is_refused_is_known_too(
    ingest: IngestApp, door: Door, mill: Sender, sql
):
    ts = int(time.time() * 1000) + 3 * 86_400_000

    answer = await door.post({"ts": ts, "values": {"a": 1}}, sender=mill)
    await ingest._notes.write()

    assert answer.body["rejected"][0]["code"] == "in_the_future"
    assert await offset_of(sql, mill) == pytest.approx(3 * 86_400, abs=5)


async def test_times_that_we_gave_say_nothing_of_the_clock(
    ingest: IngestApp, door: Door, mill: Sender, sql
):
    for _ in range(6):
        await door.post({"values": {"a": 1}}, sender=mill)
        mill_state = ingest._credentials._factories[mill.factory_id].devices[mill.device_id]
        mill_state.clock.due = 0

    await ingest._notes.write()

    assert await offset_of(sql, mill) is None
