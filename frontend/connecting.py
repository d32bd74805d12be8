"""Connecting a device: the machine it stands on, the device, and what it turns out to send."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from frontend import steps
from production import services as production_services
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from telemetry.models import Device, Signal
from tenants.models import User

GATEWAY, MADE_UP = "gateway", "made-up"
USUAL_KINDS = (
    "Compressor",
    "Filler",
    "Grinder",
    "Lathe",
    "Mill",
    "Mixer",
    "Packer",
    "Press",
    "Pump",
    "Saw",
)


@dataclass(frozen=True)
class Wish:
    """What a person wants to connect."""

    name: str
    kind: str
    machine_id: UUID | None  # None: a new machine of this name


class BadRange(ValueError):
    """The limits typed for a signal make no range; the message says why."""


@transaction.atomic
def connect(*, wish: Wish, by: User) -> tuple[Device, str]:
    """Make the machine (if it is new) and its device, both or neither; return the key with it.

    Raises:
        telemetry.services.NameTaken: another device has this name.
        production.services.MachineLimitReached: the plan has no room for another machine.
    """
    machine_id = wish.machine_id
    if machine_id is None:
        kind = production_services.machine_type(name=wish.kind or "Machine")
        machine_id = production_services.add_machine(name=wish.name, machine_type=kind).pk
    return telemetry_services.create_device(name=wish.name, machine_id=machine_id, by=by)


@transaction.atomic
def name_signals(*, signals: Sequence[Signal], posted: Mapping[str, str], by: User) -> int:
    """Keep what was typed for each signal; return how many of them changed.

    Raises:
        BadRange: a limit is no number, or the lower one is not below the upper; nothing is kept.
    """
    n_changed = 0
    for signal in signals:
        label = posted.get(f"label-{signal.pk}", signal.label).strip()[:80] or signal.label
        unit = posted.get(f"unit-{signal.pk}", signal.unit).strip()[:20]
        role = posted.get(f"role-{signal.pk}", signal.role)
        if role not in steps.ROLE_WORDS:
            role = signal.role
        low = _limit(signal, posted.get(f"low-{signal.pk}"), signal.range_low)
        high = _limit(signal, posted.get(f"high-{signal.pk}"), signal.range_high)
        before = (signal.label, signal.unit, signal.role, signal.range_low, signal.range_high)
        if (label, unit, role, low, high) == before:
            continue
        try:
            telemetry_services.describe_signal(
                signal=signal, label=label, unit=unit, role=role, range_low=low, range_high=high,
                by=by,
            )  # fmt: skip
        except telemetry_services.RangeEmpty:
            raise BadRange(f"{signal.label}: the lower limit must lie below the upper.") from None
        n_changed += 1
    return n_changed


def _limit(signal: Signal, typed: str | None, now: float | None) -> float | None:
    if typed is None:
        return now
    if not typed.strip():
        return None
    try:
        value = float(typed)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRange(f"{signal.label}: the limit '{typed[:20]}' is no number.")
    return value


def arrived(device: Device, *, may_edit: bool, now: datetime) -> steps.Arrived:
    """Say what has come from a device. Without a reading it says that it waits."""
    latest = telemetry_selectors.latest_values([device.pk]).get(device.pk)
    signals = list(telemetry_selectors.signals_of([device.pk])) if latest else []
    names = steps.names_of(signals, device_id=device.pk, latest=latest, may_edit=may_edit)
    if latest is None:
        return steps.Arrived(url="", n_received=0, words="", names=names, next_url="/")
    words = steps.receipt_words(
        n_received=latest.n_received,
        n_stored=latest.n_stored,
        n_duplicates=latest.n_duplicates,
        n_rejected=latest.n_rejected,
        last_at=latest.received_at,
        now=now,
    )
    numbers = [
        row
        for row in names.rows
        if isinstance(row.now, int | float) and not isinstance(row.now, bool)
    ]
    spark = next((row for row in numbers if row.role != "count"), None)
    return steps.Arrived(
        url="",
        n_received=latest.n_received,
        words=words,
        names=names,
        next_url="/",
        spark_key=spark.key if spark else "",
        spark_label=spark.label if spark else "",
        spark_points=str(spark.now) if spark else "",
    )
