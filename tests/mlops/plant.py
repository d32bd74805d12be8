"""A mill type in a factory with a history of worn-out spindles, written as readings."""

from datetime import UTC, datetime, timedelta

import numpy as np

from production import services as production_services
from telemetry import services as telemetry_services
from telemetry.models import Keyset, ReadingHot, Signal, SignalKey
from tests.mlops.wear import SIGNALS, worn_values

START = datetime(2026, 9, 1, tzinfo=UTC)
METER = "cycle"
REPAIR = timedelta(hours=5)


def mill_type(name="Mill"):
    return production_services.machine_type(
        name=name, component="Spindle", life_meter_key=METER, life_meter_unit="cycles"
    )


def mill(name, machine_type):
    machine = production_services.add_machine(name=name, machine_type=machine_type)
    telemetry_services.create_device(name=name, machine_id=machine.pk)
    return machine


def write_run(machine, *, start, values):
    """Write a run as one reading an hour, with its meter; return the time of the last one."""
    device = machine.devices.get()
    keys = [
        SignalKey.objects.get_or_create(key=key, kind="n")[0] for key in sorted([*SIGNALS, METER])
    ]
    ordered = sorted(keys, key=lambda key: key.pk)
    keyset, _ = Keyset.objects.get_or_create(key_ids=[key.pk for key in ordered])
    for key in keys:
        Signal.objects.get_or_create(
            device=device, key=key, defaults={"label": key.key, "first_seen_at": start}
        )
    columns = {**dict(zip(SIGNALS, values.T, strict=True)), METER: np.arange(1.0, len(values) + 1)}
    ReadingHot.objects.bulk_create(
        ReadingHot(
            device_id=device.pk,
            ts=start + timedelta(hours=i),
            keyset_id=keyset.pk,
            vals=[float(columns[key.key][i]) for key in ordered],
        )
        for i in range(len(values))
    )
    return start + timedelta(hours=len(values) - 1)


def worn_out(machine, *, lives, first_seed=0, component="Spindle"):
    """Run a machine to failure some times; return when it was last put right."""
    at = START
    for k in range(lives):
        seed = first_seed + k
        failed_at = write_run(machine, start=at, values=worn_values(50 + 7 * (seed % 5), seed))
        at = failed_at + REPAIR
        production_services.record_failure(
            machine_id=machine.pk, failed_at=failed_at, restored_at=at, mode="vibration",
            component=component,
        )  # fmt: skip
    return at


def mills_with_history():
    """Three mills with four worn-out spindles each; the first is near its next failure."""
    kind = mill_type()
    mills = [mill(f"Mill {i}", kind) for i in (1, 2, 3)]
    for i, machine in enumerate(mills):
        again = worn_out(machine, lives=4, first_seed=10 * i)
        n_left = (4, 40, 58)[i]
        write_run(machine, start=again, values=worn_values(60, 500 + i)[: 60 - n_left])
    return kind, mills
