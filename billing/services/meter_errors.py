"""Usage that Stripe took and refused afterwards: repaired where it can be, else named for staff.

Stripe checks usage events after it has answered and reports what it dropped, with a few samples a
kind of error: docs.stripe.com/billing/subscriptions/usage-based/recording-usage-api, "Handle meter
event errors". What no sample names is found by the nightly proof.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from billing.catalogue import ensure_meters
from billing.gateways import StripeGateway
from billing.models import LedgerDelivery

log = structlog.get_logger()
_State = LedgerDelivery.State
# A row's name, how often it was sent again, and the time at the end of an idempotency key: the
# report calls an event by the one or the other.
_NAME = re.compile(
    r"(?P<entry>[0-9a-f]{32}:[a-z_]+:\d{10}:\d+)(:r(?P<n_resent>\d+))?(:\d{9,})?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class MeterError:
    """One usage event that Stripe dropped, and why."""

    code: str
    message: str
    entry: str
    n_resent: int


def settle_meter_errors(*, event_id: str, payload: Mapping[str, Any], stripe: StripeGateway) -> int:
    """Have dropped usage sent again once its cause is gone; return how many rows that are.

    Raises:
        StripeAway, StripeRefused: from the gateway.
    """
    if "reason" not in (payload.get("data") or {}):
        payload = stripe.thin_event(event_id)
    repair = _Repair(stripe)
    rows = {error: _row(error) for error in errors_of(payload)}
    n_again = sum(repair.settle(error, row) for error, row in rows.items() if row is not None)
    log.warning("billing.meter.errors", event_id=event_id, n_named=len(rows), n_again=n_again)
    return n_again


def errors_of(payload: Mapping[str, Any]) -> Iterator[MeterError]:
    """Yield the samples of an error report that bear a name of ours."""
    for kind in (payload["data"].get("reason") or {}).get("error_types", ()):
        for sample in kind.get("sample_errors", ()):
            found = _NAME.fullmatch(str(sample["request"]["identifier"]))
            if found is not None:
                yield MeterError(
                    code=str(kind["code"]),
                    message=str(sample.get("error_message", ""))[:250],
                    entry=found["entry"],
                    n_resent=int(found["n_resent"] or 0),
                )


def _row(error: MeterError) -> LedgerDelivery | None:
    """Return the row of an error; None once it was sent under another name, or put aside."""
    return (
        LedgerDelivery.objects.select_for_update(of=("self",))
        .filter(
            entry__identifier=error.entry,
            n_resent=error.n_resent,
            state__in=(_State.SENT, _State.PENDING),
        )
        .select_related("entry", "account")
        .first()
    )


class _Repair:
    """Removes the cause of an error, once for all rows of a report."""

    def __init__(self, stripe: StripeGateway) -> None:
        self.stripe = stripe
        self._has_meters = False
        self._causes: dict[str, Callable[[LedgerDelivery], bool]] = {
            "archived_meter": self._make_meter,
            "no_meter": self._make_meter,
            "meter_event_customer_not_found": self._has_customer,
            "timestamp_in_future": lambda _row: True,  # that time has come
        }

    def settle(self, error: MeterError, row: LedgerDelivery) -> bool:
        """Say if a row will be sent again."""
        row.error = f"{error.code}: {error.message}"[:300]
        if error.code == "timestamp_too_far_in_past":
            # Stripe will never count it: charged on a line of its own.
            row.state, row.counted_at = _State.LATE, None
        elif (cure := self._causes.get(error.code)) is not None and cure(row):
            row.state, row.n_resent = _State.PENDING, row.n_resent + 1
        else:
            row.state = _State.REFUSED
            log.error(
                "billing.usage.refused",
                account=str(row.account_id),
                identifier=row.entry.identifier,
                code=error.code,
            )
        row.save(update_fields=["state", "counted_at", "n_resent", "error"])
        return row.state == _State.PENDING

    def _make_meter(self, _row: LedgerDelivery) -> bool:
        """Have all meters count: one was archived, or is missing."""
        if not self._has_meters:
            ensure_meters(self.stripe)
            self._has_meters = True
        return True

    def _has_customer(self, row: LedgerDelivery) -> bool:
        """Say if the account's customer is there: it may have been made anew since."""
        customer_id = row.account.stripe_customer_id
        return bool(customer_id) and self.stripe.has_customer(customer_id or "")
