"""What can be asked about bursts of vibration and the places where they are taken."""

from uuid import UUID

from django.db.models import Q, QuerySet

from mlops.models import BearingPlace, VibrationBurst
from production.models import Machine


def bursts_of(machine_id: UUID, *, point: str | None = None) -> QuerySet[VibrationBurst]:
    """Return the bursts of a machine, newest first, without their samples."""
    rows = VibrationBurst.objects.filter(machine_id=machine_id).defer("payload")
    if point is not None:
        rows = rows.filter(point=point)
    return rows.order_by("-taken_at", "point", "pk")


def newest_bursts(machine_id: UUID) -> list[VibrationBurst]:
    """Return the newest burst of each point of a machine, by point, without samples."""
    rows = VibrationBurst.objects.filter(machine_id=machine_id).defer("payload")
    return list(rows.order_by("point", "-taken_at").distinct("point"))


def burst(burst_id: UUID, *, machine_id: UUID) -> VibrationBurst:
    """Return a burst of a machine with its samples.

    Raises:
        VibrationBurst.DoesNotExist: the machine has none of this id.
    """
    return VibrationBurst.objects.get(pk=burst_id, machine_id=machine_id)


def bearing_places(machine: Machine) -> dict[str, BearingPlace]:
    """Return what is known of each point: a machine's own place goes before its type's."""
    wanted = Q(machine=machine) | Q(machine_type_id=machine.machine_type_id)
    rows = BearingPlace.objects.filter(wanted)
    return {row.point: row for row in sorted(rows, key=lambda row: row.machine_id is not None)}
