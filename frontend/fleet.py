"""Devices in words and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from frontend.formats import amount, length, moment
from frontend.tiles import Figure
from telemetry.models import Device
from telemetry.selectors import LatestReading


@dataclass(frozen=True)
class DeviceRow:
    """A device in the list, with what became of everything that it sent."""

    name: str
    url: str
    machine: str
    is_retired: bool
    last_at: datetime | None
    n_received: int
    n_stored: int
    n_duplicates: int
    n_rejected: int


@dataclass(frozen=True)
class DeviceDetail:
    id: int
    name: str
    url: str
    machine: str
    machine_url: str
    words: str
    figures: tuple[Figure, ...]


def rows(devices: Sequence[Device], latest: Mapping[int, LatestReading]) -> list[DeviceRow]:
    found = []
    for device in devices:
        last = latest.get(device.pk)
        found.append(
            DeviceRow(
                name=device.name,
                url=reverse("frontend:device", args=[device.pk]),
                machine=device.machine.name if device.machine else "",
                is_retired=device.retired_at is not None,
                last_at=last.ts if last else None,
                n_received=last.n_received if last else 0,
                n_stored=last.n_stored if last else 0,
                n_duplicates=last.n_duplicates if last else 0,
                n_rejected=last.n_rejected if last else 0,
            )
        )
    return found


def detail(device: Device, last: LatestReading | None, *, now: datetime) -> DeviceDetail:
    return DeviceDetail(
        id=device.pk,
        name=device.name,
        url=reverse("frontend:device", args=[device.pk]),
        machine=device.machine.name if device.machine else "",
        machine_url=reverse("frontend:machine", args=[device.machine_id])
        if device.machine_id
        else "",
        words=_words(device, last, now),
        figures=_figures(last, now),
    )


def _words(device: Device, last: LatestReading | None, now: datetime) -> str:
    if device.retired_at is not None:
        return f"Retired {moment(device.retired_at, now)}. Its readings stay."
    if last is None:
        return "Has sent nothing yet."
    if last.ts is None:
        return "Nothing that it sent could be stored."
    return f"Last reading {moment(last.ts, now)}, {length((now - last.ts).total_seconds())} ago."


def _figures(last: LatestReading | None, now: datetime) -> tuple[Figure, ...]:
    if last is None:
        return ()
    arrived = f"Last {length((now - last.received_at).total_seconds())} ago"
    return (
        Figure("Received", amount(last.n_received), "readings", arrived),
        Figure("Stored", amount(last.n_stored), "", "Committed and readable"),
        Figure("Repeats", amount(last.n_duplicates), "", "Known already, stored once"),
        Figure("Refused", amount(last.n_rejected), "", "The answer to each said why"),
    )
