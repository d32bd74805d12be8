"""The first steps of a new factory: where one stands, and what has arrived."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.urls import reverse

from frontend.formats import amount, length
from telemetry.guessing import guess
from telemetry.models import Signal
from telemetry.selectors import LatestReading

ROLES: tuple[tuple[str, str], ...] = (
    ("", "A measured value"),
    ("state", "State of the machine"),
    ("count", "Parts made"),
    ("fault", "Fault"),
    ("power", "Power"),
    ("speed", "Speed"),
    ("energy", "Energy"),
    ("life", "Use of the machine"),
)
ROLE_WORDS = dict(ROLES)
Value = float | bool | str | None


@dataclass(frozen=True)
class Step:
    label: str
    words: str
    status: str  # done, now, or empty
    url: str = ""


@dataclass(frozen=True)
class Steps:
    all: tuple[Step, ...]

    @property
    def words(self) -> str:
        at = next((n for n, step in enumerate(self.all, 1) if step.status == "now"), len(self.all))
        return f"Step {at} of {len(self.all)}. You can leave at any time; your place is kept."


@dataclass(frozen=True)
class NameRow:
    """A signal with what it is called, and how sure the first guess was."""

    id: int
    key: str
    label: str
    unit: str
    role: str
    now: Value
    is_sure: bool
    is_number: bool
    low: str = ""
    high: str = ""

    @property
    def role_words(self) -> str:
        return ROLE_WORDS.get(self.role, self.role)


@dataclass(frozen=True)
class Names:
    """The table in which people confirm or correct names, units and roles."""

    device_id: int
    action_url: str
    may_edit: bool
    rows: tuple[NameRow, ...]
    roles: tuple[tuple[str, str], ...] = field(default=ROLES)
    with_ranges: bool = False
    at: datetime | None = None  # when what the rows show was measured


@dataclass(frozen=True)
class Arrived:
    """What has come from a device so far."""

    url: str
    n_received: int
    words: str
    names: Names
    next_url: str
    spark_key: str = ""
    spark_label: str = ""
    spark_points: str = ""

    @property
    def is_settled(self) -> bool:
        """Once readings come, the table holds a form that must not be replaced under the cursor."""
        return self.n_received > 0


def steps(*, at: int, host: str, device_url: str = "") -> Steps:
    """Lay out the steps; `at` is the one that is on, counted from 1."""
    texts = (
        ("Your factory", f"{host} is ready", ""),
        ("Connect your first device", "A machine, a sensor or a gateway", ""),
        ("Say what it measures", "Names and units are suggested", device_url),
        ("See it now", "Every machine with its state", reverse("frontend:now")),
    )
    found = []
    for number, (label, words, url) in enumerate(texts, 1):
        status = "done" if number < at else "now" if number == at else ""
        found.append(Step(label, words, status, url if number >= at else ""))
    return Steps(tuple(found))


def names_of(
    signals: Sequence[Signal],
    *,
    device_id: int,
    latest: LatestReading | None,
    may_edit: bool,
) -> Names:
    values = latest.values if latest else {}
    rows = tuple(
        NameRow(
            id=signal.pk,
            key=signal.key.key,
            label=signal.label,
            unit=signal.unit,
            role=signal.role,
            now=values.get(signal.key.key),
            is_sure=guess(key=signal.key.key, kind=signal.key.kind).is_sure,
            is_number=signal.key.kind == "n",
            low=_limit(signal.range_low),
            high=_limit(signal.range_high),
        )
        for signal in signals
    )
    url = reverse("frontend:signals-name", args=[device_id])
    return Names(device_id, url, may_edit, rows, at=latest.ts if latest else None)


def _limit(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def receipt_words(
    *,
    n_received: int,
    n_stored: int,
    n_duplicates: int,
    n_rejected: int,
    last_at: datetime | None,
    now: datetime,
) -> str:
    """Say what became of everything that a device has sent, so that it adds up."""
    plural = "" if n_received == 1 else "s"
    words = f"{amount(n_received)} reading{plural} received, {amount(n_stored)} stored, "
    if n_duplicates:
        words += f"{amount(n_duplicates)} repeated, "
    words += f"{amount(n_rejected)} refused."
    if last_at is not None:
        words += f" The last one came {length((now - last_at).total_seconds())} ago."
    return words
