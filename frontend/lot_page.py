"""The page of a lot: its life, the runs that made it, what was found, and cards of other floors.

`CARDS` is the list of what else stands on the page. Pictures and what models say add a function
there: it is given the lot and returns a card, or None where it has nothing to say.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.http import urlencode

from frontend import series
from frontend.explorer import MAX_SPAN
from frontend.formats import DASH, figure, length, moment
from frontend.quality_rows import (
    InspectionRow,
    NonconformanceRow,
    inspection_row,
    nonconformance_row,
)
from production import selectors
from production.models import Lot, OperationRun
from production.services.lots import BEFORE
from telemetry import selectors as telemetry_selectors
from telemetry.models import Signal

MARGIN = timedelta(minutes=2)
N_PARTS = 200
N_INSPECTIONS = 200


@dataclass(frozen=True)
class LotCard:
    """A card that another part of the portal puts on the page.

    `place` is "pictures" or "models"; the template is given `card` and `lot`.
    """

    place: str
    template: str
    content: Any


CARDS: list[Callable[[Lot], LotCard | None]] = []


@dataclass(frozen=True)
class RunRow:
    operation: str
    machine: str
    machine_url: str
    readings_url: str  # what the machine's sensors said meanwhile; empty where there are none
    when: str
    lasted: str
    word: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class PartRow:
    url: str
    code: str
    word: str
    kind: str


@dataclass(frozen=True)
class ProgressRow:
    plan: str
    url: str
    words: str
    n_defective: int


@dataclass(frozen=True)
class LotPage:
    """All that the page shows."""

    lot: Lot
    quantity: str
    made: str
    runs: tuple[RunRow, ...]
    parts: tuple[PartRow, ...]
    n_parts: int
    inspections: tuple[InspectionRow, ...]
    nonconformances: tuple[NonconformanceRow, ...]
    progress: tuple[ProgressRow, ...]
    next_states: tuple[tuple[str, str], ...]
    cards: tuple[LotCard, ...]

    @property
    def pictures(self) -> list[LotCard]:
        return [card for card in self.cards if card.place == "pictures"]

    @property
    def models(self) -> list[LotCard]:
        return [card for card in self.cards if card.place == "models"]


def lot_page(lot: Lot, *, at: datetime) -> LotPage:
    """Compose the page of a lot that `selectors.lot` has read."""
    parts = selectors.parts_of(lot)
    inspections = selectors.inspections_of_lot(lot)[:N_INSPECTIONS]
    found = (make(lot) for make in CARDS)
    return LotPage(
        lot=lot,
        quantity=f"{figure(float(lot.quantity))} {lot.product.unit}",
        made=moment(lot.made_at, at),
        runs=_run_rows(list(lot.runs.all()), at=at),
        parts=tuple(_part_row(part) for part in parts[:N_PARTS]),
        n_parts=parts.count(),
        inspections=tuple(inspection_row(row, at=at) for row in inspections),
        nonconformances=tuple(
            nonconformance_row(row, at=at) for row in selectors.nonconformances_of_lot(lot)
        ),
        progress=tuple(_progress_row(row) for row in selectors.sample_progress(lot)),
        next_states=tuple(
            (value, word) for value, word in Lot.State.choices if lot.state in BEFORE.get(value, ())
        ),
        cards=tuple(card for card in found if card is not None),
    )


def _run_rows(runs: Sequence[OperationRun], *, at: datetime) -> tuple[RunRow, ...]:
    signals = _signals_of({run.machine_id for run in runs})
    return tuple(_run_row(run, signals.get(run.machine_id, []), at=at) for run in runs)


def _signals_of(machine_ids: set[UUID]) -> dict[UUID, list[Signal]]:
    """Return the signals of machines that can be drawn."""
    devices = {d.pk: d.machine_id for d in telemetry_selectors.devices_of(machine_ids)}
    found: dict[UUID, list[Signal]] = defaultdict(list)
    for signal in series.drawable(telemetry_selectors.signals_of(devices)):
        machine_id = devices[signal.device_id]
        if machine_id is not None:
            found[machine_id].append(signal)
    return found


def _run_row(run: OperationRun, signals: Sequence[Signal], *, at: datetime) -> RunRow:
    ended_at = run.ended_at
    seconds = (ended_at - run.started_at).total_seconds() if ended_at else None
    return RunRow(
        operation=run.operation if run.run_no == 1 else f"{run.operation} ({run.run_no})",
        machine=run.machine.name,
        machine_url=reverse("frontend:machine", args=[run.machine_id]),
        readings_url=_readings_url(run, signals, at=at),
        when=moment(run.started_at, at),
        lasted=length(seconds) if seconds is not None else DASH,
        word=run.get_state_display(),
        parameters=tuple(
            (name, value if isinstance(value, str) else figure(value))
            for name, value in sorted(run.parameters.items())
        ),
    )


def _readings_url(run: OperationRun, signals: Sequence[Signal], *, at: datetime) -> str:
    """Return the address of what the machine's sensors said while it worked on the lot."""
    if not signals:
        return ""
    start = run.started_at - MARGIN
    end = min((run.ended_at or at) + MARGIN, start + MAX_SPAN)
    chosen = [("s", str(signal.pk)) for signal in series.choose(signals, [])]
    query = [*chosen, ("from", _iso(start)), ("to", _iso(end))]
    return f"{reverse('frontend:explorer')}?{urlencode(query)}"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _part_row(part: Lot) -> PartRow:
    kind = {"held": "bad", "scrapped": "bad", "recalled": "bad"}.get(part.state, "")
    return PartRow(
        reverse("frontend:lot", args=[part.pk]), part.code, part.get_state_display(), kind
    )


def _progress_row(row: selectors.SampleProgress) -> ProgressRow:
    wanted = f", {row.n_wanted} wanted" if row.n_wanted is not None else ""
    return ProgressRow(
        plan=row.plan.name,
        url=reverse("frontend:inspection-plan", args=[row.plan.pk]),
        words=f"{row.n_done} looked at{wanted}, {row.n_defective} defective",
        n_defective=row.n_defective,
    )
