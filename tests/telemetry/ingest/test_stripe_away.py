"""Stripe being away is no device's trouble: nothing on the way of a reading asks it."""

import time

import pytest

from billing import gateways
from tests.telemetry.ingest.conftest import Door, Sender


async def test_readings_are_taken_as_ever_while_stripe_is_away(
    door: Door, mill: Sender, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def away(_key: str, base: str) -> gateways.StripeGateway:
        asked.append(base)
        time.sleep(5)
        raise gateways.StripeAway("it does not answer")

    monkeypatch.setattr(gateways, "_gateway", away)
    start, begun = 1_700_000_000_000, time.monotonic()

    for i in range(20):
        times = [start + 1000 * (50 * i + n) for n in range(50)]
        answer = await door.post({"ts": times, "values": {"a": [1] * 50}}, sender=mill)
        assert (answer.status, answer.counts) == (200, (50, 50, 0, 0))

    assert asked == []
    assert time.monotonic() - begun < 5  # one call that hangs would take as long
