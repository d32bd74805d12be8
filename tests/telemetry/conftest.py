"""What tests of devices have in common: the API as a program calls it, and stored readings."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from telemetry.models import Device, Keyset, Latest, ReadingHot, Signal, SignalKey, Word
from telemetry.selectors.dictionary import Value
from tests.conftest import PUBLIC_HOST


@pytest.fixture
def api(api_key: str) -> Callable[..., Any]:
    """Calls the API of acme with its key."""

    def call(method: str, path: str, data: Any = None, *, key: str = api_key) -> Any:
        return getattr(Client(), method)(
            f"/api/v1/{path}",
            data,
            content_type="application/json",
            secure=True,
            HTTP_HOST=PUBLIC_HOST,
            HTTP_AUTHORIZATION=f"Bearer {key}",
        )

    return call


@pytest.fixture
def keep(in_acme: Any) -> Callable[..., None]:
    """Return `keep(device, rows, **latest)`: readings by time, stored as ingest stores them."""

    def store(device: Device, rows: Mapping[datetime, Mapping[str, Value]], **latest: Any) -> None:
        for at, values in rows.items():
            keys = sorted((_key(key, value) for key, value in values.items()), key=lambda k: k.pk)
            for key in keys:
                Signal.objects.get_or_create(
                    device=device, key=key, defaults={"label": key.key, "first_seen_at": at}
                )
            keyset, _ = Keyset.objects.get_or_create(key_ids=[key.pk for key in keys])
            vals = [_stored(values[key.key]) for key in keys]
            ReadingHot.objects.create(device_id=device.pk, ts=at, keyset_id=keyset.pk, vals=vals)
        newest = max(rows)
        Latest.objects.update_or_create(
            device_id=device.pk, defaults={"ts": newest, "received_at": newest, **latest}
        )

    return store


def _key(key: str, value: Value) -> SignalKey:
    kind = "s" if isinstance(value, str) else "b" if isinstance(value, bool) else "n"
    return SignalKey.objects.get_or_create(key=key, kind=kind)[0]


def _stored(value: Value) -> float:
    return Word.objects.get_or_create(text=value)[0].pk if isinstance(value, str) else float(value)
