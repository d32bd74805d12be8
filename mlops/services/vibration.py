"""Bursts of vibration: stored once, judged as they come, thinned as they age."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, Window
from django.db.models.functions import RowNumber

from mlops import bursts, selectors
from mlops.models import BearingPlace, VibrationBurst
from mlops.vibration import arriving, judging
from mlops.vibration.arriving import BurstRefused, NewBurst
from mlops.vibration.bearing import Geometry
from mlops.vibration.levels import STANDARD_GRAVITY_M_S2, Burst
from production.models import Machine
from tenants import audit, jobs
from tenants.context import current_factory
from tenants.models import User

# Of each point so many are kept whole; older ones keep their figures.
N_WHOLE: Final = 500


@dataclass(frozen=True, slots=True)
class RefusedBurst:
    """Why a burst of an upload was not stored; `index` is its place there."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BurstReceipt:
    """What became of an upload: ids of what was stored, in the order sent."""

    stored: tuple[UUID, ...]
    n_duplicates: int
    refused: tuple[RefusedBurst, ...]


class PlaceRefused(ValueError):
    """A place contradicts itself; says how."""


@dataclass(frozen=True, slots=True)
class PlaceFields:
    """What is said of a measuring point; lengths in mm. A bearing is given whole or not at all."""

    point: str
    bearing: str = ""
    n_elements: int | None = None
    element_mm: float | None = None
    pitch_mm: float | None = None
    angle_deg: float = 0.0
    machine_group: str = ""
    support: str = BearingPlace.Support.RIGID.value
    nominal_rpm: float | None = None


def store_bursts(*, machine: Machine, raw: Sequence[object], now: datetime) -> BurstReceipt:
    """Store the good bursts of an upload, judged, and report what became of each.

    A burst is identified by (machine, point, taken_at): sent again, it counts as a duplicate.
    """
    fresh: dict[tuple[str, datetime], NewBurst] = {}
    refused = []
    for index, one in enumerate(raw):
        try:
            burst = arriving.burst_of(one, now=now)
        except BurstRefused as error:
            refused.append(RefusedBurst(index, error.code, str(error)))
        else:
            fresh.setdefault((burst.point, burst.taken_at), burst)
    n_good = len(raw) - len(refused)
    times = [taken_at for _point, taken_at in fresh]
    known = VibrationBurst.objects.filter(machine=machine, taken_at__in=times)
    for key in known.values_list("point", "taken_at"):
        fresh.pop(key, None)
    places = selectors.bearing_places(machine)
    rows = [_row(machine, one, places.get(one.point), now) for one in fresh.values()]
    # Another upload may have brought the same meanwhile; the constraint decides.
    VibrationBurst.objects.bulk_create(rows, ignore_conflicts=True)
    there = set(
        VibrationBurst.objects.filter(pk__in=[r.pk for r in rows]).values_list("pk", flat=True)
    )
    stored = tuple(row.pk for row in rows if row.pk in there)
    return BurstReceipt(stored, n_good - len(stored), tuple(refused))


def _row(
    machine: Machine, new: NewBurst, place: BearingPlace | None, now: datetime
) -> VibrationBurst:
    burst = Burst(new.samples_m_s2 / STANDARD_GRAVITY_M_S2, new.rate_hz, new.speed_rpm)
    judged = judging.judge(burst, bursts.place_of(place))
    return VibrationBurst(
        machine=machine, point=new.point, taken_at=new.taken_at, received_at=now,
        sample_rate_hz=new.rate_hz, n_samples=len(new.samples_m_s2), unit=new.unit,
        speed_rpm=new.speed_rpm, load_percent=new.load_percent,
        payload=arriving.packed(new.samples_m_s2), figures=judged.figures, diagnosis=judged.told,
    )  # fmt: skip


@transaction.atomic
def save_place(
    *, machine: Machine, fields: PlaceFields, for_type: bool = False, at: datetime, by: User | None
) -> BearingPlace:
    """Write down what is known of a point, of this machine or of every machine of its type.

    The newest bursts are judged anew; older ones keep what was said of them then.

    Raises:
        PlaceRefused: the bearing is given in part, or cannot be.
    """
    point = " ".join(fields.point.split())
    if not point:
        raise PlaceRefused("Give the point a name.")
    given = [fields.n_elements, fields.element_mm, fields.pitch_mm]
    if any(one is not None for one in given):
        if fields.n_elements is None or fields.element_mm is None or fields.pitch_mm is None:
            raise PlaceRefused("A bearing needs its elements and both diameters.")
        try:
            Geometry(fields.n_elements, fields.element_mm, fields.pitch_mm, fields.angle_deg)
        except ValueError as error:
            raise PlaceRefused(str(error)) from error
    said: dict[str, Any] = {name: getattr(fields, name) for name in PlaceFields.__slots__}
    del said["point"]
    whose: dict[str, Any] = {
        "machine": None if for_type else machine,
        "machine_type": machine.machine_type if for_type else None,
    }
    place, _ = BearingPlace.objects.update_or_create(
        **whose, point=point, defaults={**said, "changed_at": at}
    )
    audit.record(
        action="vibration.place_saved", actor=by, target=f"bearing_place:{place.pk}",
        detail={"machine": machine.name, "point": point, "for_type": for_type, **said},
        factory=current_factory(),
    )  # fmt: skip
    jobs.enqueue(
        task="mlops.judge_bursts", kwargs={"place_id": str(place.pk)}, factory=current_factory(),
        key=f"judge-bursts-{place.pk}",
    )  # fmt: skip
    return place


def judge_newest(*, place_id: UUID) -> int:
    """Judge the newest burst at a place, of each machine it speaks for; return how many.

    Raises:
        BearingPlace.DoesNotExist: not in this factory.
    """
    place = BearingPlace.objects.get(pk=place_id)
    rows = VibrationBurst.objects.filter(
        Q(machine_id=place.machine_id) | Q(machine__machine_type_id=place.machine_type_id),
        point=place.point, payload__isnull=False,
    )  # fmt: skip
    newest = rows.order_by("machine_id", "-taken_at").distinct("machine_id").values_list("pk")
    n_judged = 0
    for (pk,) in list(newest):
        row = VibrationBurst.objects.select_related("machine").get(pk=pk)
        burst = bursts.burst_of(row)
        if burst is None:
            continue
        own = selectors.bearing_places(row.machine).get(row.point)
        judged = judging.judge(burst, bursts.place_of(own))
        VibrationBurst.objects.filter(pk=pk).update(figures=judged.figures, diagnosis=judged.told)
        n_judged += 1
    return n_judged


def thin_bursts(*, n_whole: int = N_WHOLE) -> int:
    """Drop the samples of all but the newest bursts of each point; return how many lost theirs."""
    place = Window(
        RowNumber(),
        partition_by=[F("machine_id"), F("point")],
        order_by=[F("taken_at").desc(), F("pk").asc()],
    )
    old = VibrationBurst.objects.annotate(place=place).filter(place__gt=n_whole).values("pk")
    return VibrationBurst.objects.filter(pk__in=old, payload__isnull=False).update(payload=None)
