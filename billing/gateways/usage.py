"""What was used: told to Stripe by the event, and asked for by the sum."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import stripe

from billing import answers
from billing.answers import UsageEvent, UsageOutcome
from billing.gateways.calls import Calls, StripeRefused, seconds, typed, wrapped

_ALREADY_KNOWN = "An event already exists with identifier"
MAX_BATCH = 100  # usage events in one call of the stream
# A session of the stream lives for 15 minutes; a new one is asked for a little earlier.
_SESSION_S = 14 * 60


class Usage(Calls):
    """Calls on usage."""

    _stream: tuple[stripe.StripeClient, float] | None = None

    def report_usage(
        self, *, identifier: str, event_name: str, customer_id: str, quantity: int, at: datetime
    ) -> bool:
        """Tell Stripe of usage once; False when it already knew this identifier."""
        try:
            with wrapped():
                self._v1.billing.meter_events.create(
                    {
                        "event_name": event_name,
                        "identifier": identifier,
                        "payload": {"stripe_customer_id": customer_id, "value": str(quantity)},
                        "timestamp": seconds(at),
                    },
                    # With the time: should it ever differ, the identifier decides, not the key.
                    {"idempotency_key": f"{identifier}:{seconds(at)}"},
                )
        except StripeRefused as refusal:
            # Stripe gives this refusal no code.
            if _ALREADY_KNOWN in str(refusal):
                return False
            raise
        return True

    def report_usage_batch(self, events: Sequence[UsageEvent]) -> list[UsageOutcome]:
        """Tell Stripe of up to `MAX_BATCH` usage events in one call, and what became of each.

        Stripe checks such a batch later and reports errors as
        `v1.billing.meter.error_report_triggered`. Where there is no stream, or it refuses the
        batch, the events are told one by one.

        Source: docs.stripe.com/api/v2/billing-meter-stream
        """
        try:
            with wrapped():
                self._event_stream().v2.billing.meter_event_stream.create(
                    {"events": [_stream_event(event) for event in events]}
                )
        except StripeRefused:
            self._stream = None
            return [self._report_one(event) for event in events]
        return [UsageOutcome(event.identifier, "sent") for event in events]

    def cancel_usage(self, *, identifier: str, event_name: str) -> None:
        """Take back usage told within the last 24 hours."""
        values = {
            "type": "cancel",
            "event_name": event_name,
            "cancel": {"identifier": identifier},
        }
        with wrapped():
            create = self._v1.billing.meter_event_adjustments.create
            self._write(create, values, f"cancel-{identifier}")

    def usage_total(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime
    ) -> int:
        """Return what Stripe has counted of a meter in [start, end), whole minutes."""
        with wrapped():
            found = self._v1.billing.meters.event_summaries.list(
                meter_id,
                {
                    "customer": customer_id,
                    "start_time": seconds(start),
                    "end_time": seconds(end),
                },
            )
            return sum(int(row.aggregated_value) for row in found.data)

    def usage_by_hour(
        self, *, meter_id: str, customer_id: str, start: datetime, end: datetime
    ) -> dict[datetime, int]:
        """Return what Stripe has counted of a meter by UTC hour in [start, end), zeros left out."""
        values = {
            "customer": customer_id,
            "start_time": seconds(start),
            "end_time": seconds(end),
            "value_grouping_window": "hour",
            "limit": 100,
        }
        with wrapped():
            found = self._v1.billing.meters.event_summaries.list(meter_id, typed(values))
            return {
                answers.time_of(row.start_time): int(row.aggregated_value)
                for row in found.auto_paging_iter()
                if row.aggregated_value
            }

    def _event_stream(self) -> stripe.StripeClient:
        """Return a client with the token of a session that is still open."""
        if self._stream is None or self._stream[1] <= time.monotonic():
            session = self._client.v2.billing.meter_event_session.create()
            client = self._connect(session.authentication_token)
            self._stream = client, time.monotonic() + _SESSION_S
        return self._stream[0]

    def _report_one(self, event: UsageEvent) -> UsageOutcome:
        try:
            is_new = self.report_usage(
                identifier=event.identifier,
                event_name=event.event_name,
                customer_id=event.customer_id,
                quantity=event.quantity,
                at=event.at,
            )
        except StripeRefused as refusal:
            return UsageOutcome(event.identifier, "refused", str(refusal))
        return UsageOutcome(event.identifier, "sent" if is_new else "known")


def _stream_event(event: UsageEvent) -> Any:
    payload = {"stripe_customer_id": event.customer_id, "value": str(event.quantity)}
    return {
        "event_name": event.event_name,
        "identifier": event.identifier,
        "payload": payload,
        "timestamp": event.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
