"""Simulated time, which only Stripe's test mode knows."""

from datetime import datetime

from billing import answers
from billing.gateways.calls import Calls, seconds, wrapped


class Clocks(Calls):
    """Calls on test clocks."""

    def create_clock(self, *, key: str, at: datetime) -> str:
        values = {"frozen_time": seconds(at)}
        with wrapped():
            return self._write(self._v1.test_helpers.test_clocks.create, values, key).id

    def clock_time(self, clock_id: str) -> datetime | None:
        """Return the time of a test clock, or None while it is still moving."""
        with wrapped():
            clock = self._v1.test_helpers.test_clocks.retrieve(clock_id)
            return answers.time_of(clock.frozen_time) if clock.status == "ready" else None

    def advance_clock(self, *, clock_id: str, to: datetime) -> None:
        with wrapped():
            self._v1.test_helpers.test_clocks.advance(
                clock_id,
                {"frozen_time": seconds(to)},
                {"idempotency_key": f"{clock_id}-{seconds(to)}"},
            )
