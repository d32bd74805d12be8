"""What Takt sells, as Stripe has to know it: two meters, and a price per plan, meter and currency.

Stripe charges readings beyond the included by one meter that adds up what was sent and subtracts
what is included; below zero it charges nothing (docs.stripe.com, "Configure meters").
"""

from dataclasses import dataclass
from decimal import Decimal

from billing.gateways import StripeGateway
from billing.plans import VERSION, Meter, Plan

MACHINES_EVENT = "takt_active_machines"
READINGS_EVENT = "takt_extra_readings"
_LABELS = {MACHINES_EVENT: "Active machines", READINGS_EVENT: "Readings beyond the included"}


@dataclass(frozen=True, slots=True)
class StripeMeter:
    """How a meter of the ledger is told to Stripe."""

    event_name: str
    sign: int


STRIPE_METERS = {
    Meter.ACTIVE_MACHINES: StripeMeter(MACHINES_EVENT, 1),
    Meter.READINGS: StripeMeter(READINGS_EVENT, 1),
    Meter.INCLUDED_READINGS: StripeMeter(READINGS_EVENT, -1),
}


@dataclass(frozen=True, slots=True)
class PriceSpec:
    lookup_key: str
    product: str
    unit_label: str
    unit_amount: Decimal
    event_name: str


def prices_of(plan: Plan, *, currency: str) -> tuple[PriceSpec, ...]:
    """Return the prices of a paid plan. A changed price is a new version with a new key."""
    suffix = f"{currency.lower()}_v{VERSION}"
    return (
        PriceSpec(
            lookup_key=f"takt_{plan.key}_machine_{suffix}",
            product=f"{plan.name}: active machines",
            unit_label="machine",
            unit_amount=Decimal(plan.machine_price),
            event_name=MACHINES_EVENT,
        ),
        PriceSpec(
            lookup_key=f"takt_{plan.key}_readings_{suffix}",
            product=f"{plan.name}: readings beyond the included",
            unit_label="reading",
            unit_amount=plan.reading_price,
            event_name=READINGS_EVENT,
        ),
    )


def ensure(gateway: StripeGateway, *, plan: Plan, currency: str) -> list[str]:
    """Return the Stripe ids of a plan's prices, creating what Stripe does not have yet."""
    specs = prices_of(plan, currency=currency)
    known = gateway.prices([spec.lookup_key for spec in specs])
    if len(known) < len(specs):
        meters = ensure_meters(gateway)
        for spec in specs:
            if spec.lookup_key not in known:
                known[spec.lookup_key] = gateway.create_price(
                    lookup_key=spec.lookup_key,
                    product=spec.product,
                    unit_label=spec.unit_label,
                    currency=currency.lower(),
                    unit_amount=spec.unit_amount,
                    meter_id=meters[spec.event_name],
                )
    return [known[spec.lookup_key] for spec in specs]


def ensure_meters(gateway: StripeGateway) -> dict[str, str]:
    """Return the Stripe ids of our meters by event name, creating what is missing."""
    known = gateway.meters()
    for event_name, label in _LABELS.items():
        if event_name not in known:
            known[event_name] = gateway.create_meter(event_name=event_name, label=label)
    return known
