"""What devices are answered whose factory does not pay, or has reached its cap."""

from datetime import UTC, datetime

import pytest

from telemetry.ingest import limits
from tests.telemetry.ingest.conftest import Door, Sender

READING = {"ts": 1_700_000_000_000, "values": {"load": 1.0}}
LINE = b"mill load=1 1700000000000000000"


@pytest.fixture
async def suspend(set_limits):
    until = datetime(2026, 12, 24, tzinfo=UTC)

    async def suspended(schema: str) -> None:
        await set_limits(
            schema, standing="suspended", standing_until=until, read_only=True, ingest_blocked=True
        )

    return suspended


async def test_a_suspended_factory_is_refused_with_a_code_of_its_own(
    door: Door, mill: Sender, oven: Sender, suspend
):
    await suspend("mills")

    answer = await door.post(READING, sender=mill)

    assert (answer.status, answer.body["code"]) == (403, "suspended")
    assert "2026-12-24" in answer.body["message"]
    assert int(answer.headers["retry-after"]) >= 60
    assert (await door.post(READING, sender=oven)).status == 200


async def test_a_read_only_factory_goes_on_sending(door: Door, mill: Sender, set_limits):
    await set_limits("mills", standing="read_only", read_only=True)

    assert (await door.post(READING, sender=mill)).status == 200


async def test_a_capped_factory_is_told_to_come_next_month(
    door: Door, mill: Sender, oven: Sender, set_limits
):
    await set_limits("mills", capped_meters='["readings"]')

    answer = await door.post(READING, sender=mill)

    left_s = limits.seconds_to_next_month(datetime.now(UTC))
    assert (answer.status, answer.body["code"]) == (429, "cap_reached")
    assert abs(int(answer.headers["retry-after"]) - left_s) < 60
    assert (await door.post(READING, sender=oven)).status == 200


async def test_a_cap_on_something_else_refuses_no_readings(door: Door, mill: Sender, set_limits):
    await set_limits("mills", capped_meters='["images"]')

    assert (await door.post(READING, sender=mill)).status == 200


async def test_clients_of_influxdb_are_refused_so_that_they_keep_their_lines(
    door: Door, mill: Sender, suspend
):
    """Telegraf keeps what 401, 403, 429 and 5xx answer, and drops what any other 4xx does."""
    await suspend("mills")

    answer = await door.post(LINE, sender=mill, path="/api/v2/write?org=a&bucket=b")

    assert (answer.status, answer.body["code"]) == (403, "forbidden")
    assert "suspended" in answer.body["message"]


async def test_devices_for_thingsboard_are_refused_too(door: Door, mill: Sender, suspend):
    await suspend("mills")

    answer = await door.post({"load": 1.0}, path=f"/api/v1/{mill.token}/telemetry")

    assert (answer.status, answer.body["code"]) == (403, "suspended")


async def test_a_cap_leaves_attributes_alone(door: Door, mill: Sender, set_limits):
    await set_limits("mills", capped_meters='["readings"]')

    address = f"/api/v1/{mill.token}"
    assert (await door.post({"a": 1}, path=f"{address}/attributes")).status == 200
    assert (await door.post({"a": 1}, path=f"{address}/telemetry")).status == 429


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), 60),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), 3_600),
        (datetime(2027, 2, 1, tzinfo=UTC), 28 * 86_400),
    ],
)
def test_the_end_of_a_month_is_found(at, seconds):
    assert limits.seconds_to_next_month(at) == seconds
