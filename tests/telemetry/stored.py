"""Readings as ingest stores them, many at once, for tests that only read."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from telemetry import services
from telemetry.models import (
    Device,
    Keyset,
    Latest,
    ReadingHot,
    ReadingHour,
    Signal,
    SignalKey,
    Word,
)
from telemetry.selectors import Value


def device(name: str = "Mill 1") -> Device:
    return services.create_device(name=name)[0]


def store(
    device: Device, key: str, values: Sequence[Value], *, at: datetime, every: timedelta
) -> Signal:
    """Store one reading a value, and return the signal."""
    kind = "s" if isinstance(values[0], str) else "b" if isinstance(values[0], bool) else "n"
    signal_key, _ = SignalKey.objects.get_or_create(key=key, kind=kind)
    signal, _ = Signal.objects.get_or_create(
        device=device, key=signal_key, defaults={"label": key, "first_seen_at": at}
    )
    keyset, _ = Keyset.objects.get_or_create(key_ids=[signal_key.pk])
    codes = (
        {text: Word.objects.get_or_create(text=text)[0].pk for text in set(values)}
        if (kind == "s")
        else {}
    )
    rows = [
        ReadingHot(
            device_id=device.pk, ts=at + every * i, keyset_id=keyset.pk,
            vals=[float(codes.get(value, value))],
        )
        for i, value in enumerate(values)
    ]  # fmt: skip
    ReadingHot.objects.bulk_create(rows, batch_size=5000)
    hours = Counter(row.ts.replace(minute=0, second=0, microsecond=0) for row in rows)
    for hour, n in hours.items():
        found, _ = ReadingHour.objects.get_or_create(
            device_id=device.pk,
            hour=hour,
            defaults={"n_readings": 0, "n_values": 0, "changed_at": at},
        )
        ReadingHour.objects.filter(pk=found.pk).update(n_readings=found.n_readings + n)
    Latest.objects.update_or_create(
        device_id=device.pk,
        defaults={"ts": rows[-1].ts, "keyset_id": keyset.pk, "vals": rows[-1].vals,
                  "received_at": rows[-1].ts},
    )  # fmt: skip
    return signal
