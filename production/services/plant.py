"""What can happen in the plant."""

import re
from datetime import date, datetime, time
from uuid import UUID

from django.db import transaction
from django.utils.text import slugify

from production.models import Area, Failure, Line, Machine, MachineType, ShiftPattern, Site
from tenants.context import current_factory
from tenants.models import FactoryLimits, User


class MachineLimitReached(Exception):
    """The plan has no room for another machine."""

    def __init__(self, max_machines: int) -> None:
        super().__init__(f"Your plan covers {max_machines} machines. A larger plan makes room.")
        self.max_machines = max_machines


@transaction.atomic
def create_default_plant(*, site_name: str, time_zone: str) -> Line:
    """Give a new factory one site, area and line, and three shifts on weekdays."""
    site = Site.objects.create(code="main", name=site_name, time_zone=time_zone)
    area = Area.objects.create(site=site, code="floor", name="Shop floor")
    add_shifts(site=site, weekdays="12345")
    return Line.objects.create(area=area, code="line1", name="Line 1")


def add_shifts(*, site: Site, weekdays: str, valid_from: date = date(2020, 1, 1)) -> None:
    """Write the usual three shifts: early 06-14, late 14-22, night 22-06, with half-hour breaks."""
    hours = (("Early", 6, 14, 10), ("Late", 14, 22, 18), ("Night", 22, 6, 2))
    ShiftPattern.objects.bulk_create(
        ShiftPattern(
            site=site,
            name=name,
            weekdays=weekdays,
            starts_at=time(start),
            ends_at=time(end),
            break_starts_at=time(pause),
            break_minutes=30,
            valid_from=valid_from,
        )
        for name, start, end, pause in hours
    )


def machine_type(
    *,
    name: str,
    component: str = "",
    life_meter_key: str = "",
    life_meter_unit: str = "h",
    ideal_rate_per_h: float | None = None,
) -> MachineType:
    """Return the machine type of this name, made if it is new."""
    found, _ = MachineType.objects.get_or_create(
        code=slugify(name)[:40] or "machine",
        defaults={
            "name": name,
            "component": component,
            "life_meter_key": life_meter_key,
            "life_meter_unit": life_meter_unit,
            "ideal_rate_per_h": ideal_rate_per_h,
        },
    )
    return found


@transaction.atomic
def add_machine(
    *,
    name: str,
    machine_type: MachineType,
    line: Line | None = None,
    asset_tag: str = "",
    commissioned_at: datetime | None = None,
    ideal_rate_per_h: float | None = None,
    cost_per_hour_minor: int | None = None,
) -> Machine:
    """Put a machine on a line (the first one by default), within what the plan allows.

    The factory's row of limits is locked, so that parallel requests cannot pass the limit.

    Raises:
        MachineLimitReached: the plan has no room.
    """
    limits = FactoryLimits.objects.select_for_update().get(factory=current_factory())
    n_machines = Machine.objects.exclude(state=Machine.State.RETIRED).count()
    if limits.max_machines is not None and n_machines >= limits.max_machines:
        raise MachineLimitReached(limits.max_machines)
    first_line = Line.objects.order_by("area__code", "code")
    return Machine.objects.create(
        name=name,
        asset_tag=asset_tag or _free_tag(name),
        line=line or first_line[0],
        machine_type=machine_type,
        position=n_machines,
        commissioned_at=commissioned_at,
        ideal_rate_per_h=ideal_rate_per_h,
        cost_per_hour_minor=cost_per_hour_minor,
    )


def _free_tag(name: str) -> str:
    stem = re.sub(r"-+", "-", slugify(name))[:34] or "machine"
    taken = set(
        Machine.objects.filter(asset_tag__startswith=stem).values_list("asset_tag", flat=True)
    )
    candidates = (stem if n == 1 else f"{stem}-{n}" for n in range(1, len(taken) + 2))
    return next(tag for tag in candidates if tag not in taken)


def record_failure(
    *,
    machine_id: UUID,
    failed_at: datetime,
    mode: str,
    restored_at: datetime | None = None,
    mechanism: str = Failure.Mechanism.UNKNOWN,
    cause: str = Failure.Cause.UNKNOWN,
    detection: str = Failure.Detection.ON_DEMAND,
    component: str = "",
    note: str = "",
    source: str = "",
    by: User | None = None,
) -> Failure:
    """Record a failure event; it is the end of a life that models learn from."""
    return Failure.objects.create(
        machine_id=machine_id,
        failed_at=failed_at,
        restored_at=restored_at,
        mode=mode,
        mechanism=mechanism,
        cause=cause,
        detection=detection,
        component=component,
        note=note,
        source=source,
        recorded_by_id=by.pk if by else None,
    )
