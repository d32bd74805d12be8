"""Machines whose devices have said something, written straight into the reading tables."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from production import services as production_services
from telemetry import guessing
from telemetry import services as telemetry_services
from telemetry.models import Keyset, Latest, ReadingHot, Signal, SignalKey, Word

Row = tuple[datetime, Mapping[str, float | bool | str]]
# A Tuesday: 10:42 in Berlin, in the early shift, after its break.
NOW = datetime(2026, 11, 17, 9, 42, tzinfo=UTC)


def minutes_before(n: float) -> datetime:
    return NOW - timedelta(minutes=n)


def _kind(value: float | bool | str) -> str:
    return "b" if isinstance(value, bool) else "s" if isinstance(value, str) else "n"


def store(device_id: int, rows: Sequence[Row]) -> None:
    """Write readings as ingest does: interned keys, words and one latest row."""
    sets: dict[tuple[int, ...], int] = {}
    made = []
    for ts, values in rows:
        coded = {}
        for key, value in values.items():
            kind = _kind(value)
            known, _ = SignalKey.objects.get_or_create(key=key, kind=kind)
            guess = guessing.guess(key=key, kind=kind)
            Signal.objects.get_or_create(
                device_id=device_id, key=known,
                defaults={"label": guess.label, "unit": guess.unit, "role": guess.role,
                          "first_seen_at": ts},
            )  # fmt: skip
            if isinstance(value, str):
                value = Word.objects.get_or_create(text=value)[0].pk
            coded[known.pk] = float(value)
        ids = tuple(sorted(coded))
        if ids not in sets:
            sets[ids] = Keyset.objects.get_or_create(key_ids=list(ids))[0].pk
        made.append((ts, sets[ids], [coded[i] for i in ids]))
    ReadingHot.objects.bulk_create(
        ReadingHot(device_id=device_id, ts=ts, keyset_id=keyset, vals=vals)
        for ts, keyset, vals in made
    )
    ts, keyset, vals = max(made)
    Latest.objects.update_or_create(
        device_id=device_id,
        defaults={"ts": ts, "keyset_id": keyset, "vals": vals, "received_at": ts},
    )


@pytest.fixture
def machine(in_acme) -> Callable[..., tuple]:
    """Return `machine(name, rows)`: a mill of 40 parts an hour with a device that sent rows."""

    def make(name: str, rows: Sequence[Row] = (), **fields):
        kind = production_services.machine_type(
            name=fields.pop("kind", "Mill"), ideal_rate_per_h=fields.pop("rate", 40)
        )
        made = production_services.add_machine(
            name=name, machine_type=kind, cost_per_hour_minor=12_000, **fields
        )
        device, _token = telemetry_services.create_device(name=name, machine_id=made.pk)
        if rows:
            store(device.pk, rows)
        return made, device

    return make
