"""Devices in words and figures: the list, and the filters above it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from frontend.formats import figure, length
from telemetry import selectors as telemetry_selectors
from telemetry.models import Device
from telemetry.selectors import CLOCK_OFF, FILTERS, DeviceState, FleetQuery, Health

STATE_WORDS = {
    DeviceState.LIVE: "Live",
    DeviceState.SILENT: "Silent",
    DeviceState.NEVER: "Never seen",
    CLOCK_OFF: "Clock off",
    DeviceState.RETIRED: "Retired",
}


@dataclass(frozen=True)
class StateChip:
    """A filter with how many devices it shows; a second click shows all again."""

    state: str
    words: str
    n: int
    url: str
    is_chosen: bool


@dataclass(frozen=True)
class DeviceRow:
    """A device in the list."""

    name: str
    url: str
    machine: str
    group: str
    tags: tuple[str, ...]
    state: str
    state_words: str
    heard_at: datetime | None
    clock_words: str
    rate: str
    n_stored: int
    n_rejected: int


def query_of(asked: QueryDict) -> FleetQuery:
    """Read the filters of an address; what is no filter is left aside."""
    texts = {
        name: asked.get(name, "").replace("\0", "").strip()[:80] for name in ("q", "group", "tag")
    }
    state = asked.get("state", "")
    return FleetQuery(**texts, state=state if state in FILTERS else "")


def chips(query: FleetQuery, counts: Mapping[str, int]) -> list[StateChip]:
    """Return the states that devices are in, and the one chosen."""
    kept = {"q": query.q, "group": query.group, "tag": query.tag}
    found = []
    for state, words in STATE_WORDS.items():
        is_chosen = state == query.state
        if not counts[state] and not is_chosen:
            continue
        parts = {**kept, "state": "" if is_chosen else str(state)}
        address = urlencode({name: value for name, value in parts.items() if value})
        url = f"{reverse('frontend:devices')}?{address}"
        found.append(StateChip(str(state), words, counts[state], url, is_chosen))
    return found


def rows(devices: Iterable[Device], rates: Mapping[int, float]) -> list[DeviceRow]:
    found = []
    for device in devices:
        health = telemetry_selectors.health(device)
        found.append(
            DeviceRow(
                name=device.name,
                url=reverse("frontend:device", args=[device.pk]),
                machine=device.machine.name if device.machine else "",
                group=device.group,
                tags=tuple(device.tags),
                state=health.state,
                state_words=STATE_WORDS[DeviceState(health.state)],
                heard_at=health.heard_at,
                clock_words=clock_words(health) if health.is_clock_off else "",
                rate=rate_words(rates.get(device.pk, 0.0)),
                n_stored=health.n_stored,
                n_rejected=health.n_rejected,
            )
        )
    return found


def clock_words(health: Health) -> str:
    """Say how far a clock is off: 93 s ahead, 2 h 3 min behind."""
    offset_s = health.clock_offset_s or 0.0
    return f"{length(abs(offset_s))} {'ahead' if offset_s > 0 else 'behind'}"


def rate_words(per_min: float) -> str:
    """Write a rate a minute with as many digits as mean something."""
    return figure(round(per_min, 1 if per_min < 10 else 0))
