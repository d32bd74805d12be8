"""Everything that the page of one device shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from frontend import formats
from frontend.fleet import clock_words, rate_words
from frontend.formats import amount, figure, length, moment
from frontend.tiles import Figure
from telemetry import selectors as telemetry_selectors
from telemetry.models import Device, RefusalCount, Signal
from telemetry.selectors import DeviceQuality, Health, LatestReading, StreamItem

STREAM_ITEMS = 50
REVISION_DAYS = 7
MOST_REVISIONS = 20
# Above this a score is calm, below the lower one somebody should look.
GOOD, DOUBTFUL = 90, 60
CHECK_WORDS = {"gaps": "Gaps", "stuck": "Stuck", "range": "Out of range", "drift": "Drift"}


@dataclass(frozen=True)
class Value:
    key: str
    value: str


@dataclass(frozen=True)
class StreamRow:
    """A reading or a refusal, ready to print."""

    day: str  # empty where it is of the last 24 h: the clock alone is clear then
    clock: str
    values: tuple[Value, ...]
    code: str
    message: str
    item: str


@dataclass(frozen=True)
class Live:
    """What changes while one looks: counters, clock, refusals by reason, the stream."""

    device_id: int
    url: str
    words: str
    figures: tuple[Figure, ...]
    clock_words: str
    refusals: Sequence[RefusalCount]
    rows: tuple[StreamRow, ...]


@dataclass(frozen=True)
class CheckRow:
    words: str
    score: int | None
    reason: str


@dataclass(frozen=True)
class QualityRow:
    """A signal with its score, a word for it, and the reason."""

    label: str
    key: str
    score: int | None
    share: float
    words: str
    kind: str  # good, look, doubtful, unknown
    reason: str
    checks: tuple[CheckRow, ...]


@dataclass(frozen=True)
class Quality:
    words: str
    rows: tuple[QualityRow, ...]
    n_left_out: int


@dataclass(frozen=True)
class RevisionRow:
    at: datetime
    label: str
    was: str
    replaced_at: datetime


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    url: str = ""


def live(device: Device, health: Health, last: LatestReading | None, *, now: datetime) -> Live:
    items = telemetry_selectors.stream(device_id=device.pk, n=STREAM_ITEMS) if last else []
    return Live(
        device_id=device.pk,
        url=reverse("frontend:device", args=[device.pk]),
        words=_words(device, last, now),
        figures=_figures(device, last, now),
        clock_words=_clock_sentence(device, health, now) if health.is_clock_off else "",
        refusals=telemetry_selectors.refusal_counts(device.pk) if last else [],
        rows=tuple(_stream_row(item, now) for item in items),
    )


def facts(device: Device, now: datetime) -> list[Fact]:
    """Say what the device is, where it stands and where it came from."""
    machine_url = reverse("frontend:machine", args=[device.machine_id]) if device.machine else ""
    found = [
        Fact("Machine", device.machine.name if device.machine else "", machine_url),
        Fact("Group", device.group),
        Fact("Tags", ", ".join(device.tags)),
        Fact("Note", device.note),
        Fact("Came by", _origin_words(device, now)),
        Fact("Hardware", device.hardware_id),
    ]
    return [fact for fact in found if fact.value]


def quality(found: DeviceQuality) -> Quality:
    hours = round((found.end - found.start) / timedelta(hours=1))
    return Quality(
        words=f"Over the last {hours} h. The worst of four checks counts; worst first.",
        rows=tuple(
            _quality_row(one.signal, one.quality.score, one.quality.reason, one.quality.checks)
            for one in found.signals
        ),
        n_left_out=found.n_left_out,
    )


def revisions(device_id: int, signals: Sequence[Signal], *, now: datetime) -> list[RevisionRow]:
    """Return the values of the last days that were replaced, the latest replacement first."""
    labels = {signal.key.key: signal.label for signal in signals}
    rows: Sequence[Mapping[str, Any]] = telemetry_selectors.revisions(
        device_id=device_id, start=now - timedelta(days=REVISION_DAYS), end=now + timedelta(days=1)
    )
    newest = sorted(rows, key=lambda row: row["replaced_at"], reverse=True)[:MOST_REVISIONS]
    return [
        RevisionRow(
            at=row["ts"],
            label=labels.get(row["key"], row["key"]),
            was=figure(row["value"]),
            replaced_at=row["replaced_at"],
        )
        for row in newest
    ]


def _words(device: Device, last: LatestReading | None, now: datetime) -> str:
    if device.retired_at is not None:
        return f"Retired {moment(device.retired_at, now)}. Its readings stay."
    if last is None:
        return "Has sent nothing yet."
    if last.ts is None:
        return "Nothing that it sent could be stored."
    ago = length((now - last.received_at).total_seconds())
    return f"Last heard {ago} ago. Its newest reading is of {moment(last.ts, now)}."


def _clock_sentence(device: Device, health: Health, now: datetime) -> str:
    return (
        f"The clock of {device.name} is {clock_words(health)}"
        f" (seen {moment(health.clock_seen_at, now)}). Readings are kept under the times that it"
        " sends: set its clock, or let it send readings without a time."
    )


def _origin_words(device: Device, now: datetime) -> str:
    when = moment(device.created_at, now)
    if device.origin == Device.Origin.CLAIM:
        return f"A claim code ({device.claim_hint}…), {when}"
    if device.origin == Device.Origin.IMPORT:
        return f"A list that was imported, {when}"
    return f"Connected by a person, {when}"


def _figures(device: Device, last: LatestReading | None, now: datetime) -> tuple[Figure, ...]:
    if last is None:
        return ()
    per_min = telemetry_selectors.readings_per_min([device.pk], at=now).get(device.pk, 0.0)
    n_last = telemetry_selectors.readings_last_minute(device_id=device.pk, at=now)
    return (
        Figure("Last minute", amount(n_last), "readings", f"{rate_words(per_min)}/min this hour"),
        Figure("Received", amount(last.n_received), "", "Adds up from the next three"),
        Figure("Stored", amount(last.n_stored), "", "Committed and readable"),
        Figure("Repeats", amount(last.n_duplicates), "", "Known already, stored once"),
        Figure("Refused", amount(last.n_rejected), "", "Each with a reason, below"),
    )


def _stream_row(item: StreamItem, now: datetime) -> StreamRow:
    return StreamRow(
        day=formats.day(item.at) if abs(now - item.at) > timedelta(hours=24) else "",
        clock=f"{formats.local(item.at):%H:%M:%S.%f}"[:-3],
        values=tuple(Value(key, figure(value)) for key, value in item.values.items()),
        code=item.code,
        message=item.message,
        item=item.item,
    )


def _quality_row(
    signal: Signal, score: int | None, reason: str, checks: Sequence[Any]
) -> QualityRow:
    kind, words = "unknown", "Cannot be said"
    if score is not None:
        if score >= GOOD:
            kind, words = "good", "Good"
        elif score >= DOUBTFUL:
            kind, words = "look", "Look at it"
        else:
            kind, words = "doubtful", "Doubtful"
    return QualityRow(
        label=signal.label,
        key=signal.key.key,
        score=score,
        share=(score or 0) / 100,
        words=words,
        kind=kind,
        reason=_sentence(reason),
        checks=tuple(
            CheckRow(CHECK_WORDS[check.check], check.score, _sentence(check.reason))
            for check in checks
        ),
    )


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
