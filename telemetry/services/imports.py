"""Many devices at once, from a list."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from production import selectors as production_selectors
from telemetry import device_list
from telemetry.device_list import DeviceList, Line
from telemetry.models import Device
from tenants import audit, credentials
from tenants.context import current_factory
from tenants.models import User


@dataclass(frozen=True, slots=True)
class Imported:
    """A device just made, with its token, which is shown only now."""

    device_id: int
    name: str
    token: str


def preview(*, text: str) -> DeviceList:
    """Say what an import of this list would make, and which lines it would leave out.

    Raises:
        device_list.BadList: it cannot be read as a list of devices.
    """
    machines = {
        machine.asset_tag: (machine.pk, machine.name) for machine in production_selectors.machines()
    }
    taken = Device.objects.values_list("name", flat=True)
    return device_list.parse(text, machines=machines, taken=taken)


@transaction.atomic
def import_devices(*, text: str, by: User | None) -> tuple[list[Imported], DeviceList]:
    """Make the devices of the good lines, all or none, and return them with their tokens.

    A list holds 1,000 devices at most, which takes one transaction well under a second.

    Raises:
        device_list.BadList: it cannot be read as a list of devices.
        django.db.IntegrityError: somebody took a name at the same moment; nothing was made.
    """
    found = preview(text=text)
    devices = Device.objects.bulk_create([_device(line) for line in found.good])
    tokens = credentials.issue_device_tokens(
        factory=current_factory(), names={device.pk: device.name for device in devices}
    )
    made = [Imported(device.pk, device.name, tokens[device.pk]) for device in devices]
    if made:
        _record(made, n_bad=len(found.bad), by=by)
    return made, found


def _device(line: Line) -> Device:
    return Device(
        name=line.name,
        group=line.group,
        tags=list(line.tags),
        machine_id=line.machine_id,
        note=line.note,
        origin=Device.Origin.IMPORT,
    )


def _record(made: Sequence[Imported], *, n_bad: int, by: User | None) -> None:
    audit.record(
        action="devices.imported",
        actor=by,
        target=f"{len(made)} devices",
        detail={"ids": [one.device_id for one in made], "n_left_out": n_bad},
        factory=current_factory(),
    )
