"""Found a factory the way its people would: through services, and only what is not there yet."""

import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils import timezone

from config.demo import watching
from config.demo.diary import FactoryEntry
from config.demo.machines import FactorySpec, TypeSpec
from config.demo.plan import DAY_S
from config.demo.report import LinkFailed
from production import selectors as production_selectors
from production import services as production_services
from production.models import MachineType
from telemetry import selectors as telemetry_selectors
from telemetry import services as telemetry_services
from tenants import credentials, names
from tenants import services as tenants_services
from tenants.context import factory_context
from tenants.models import Factory, FactoryLimits, Job, Role, User

# A demonstration posts weeks within a minute; a factory's gateways do not.
READINGS_PER_S = 200_000
BUILDING_TIMEOUT_S = 60.0
A_SUNDAY = datetime(2026, 1, 4, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Founded:
    """A factory that stands: its row, and its machines and devices by name."""

    factory: Factory
    entry: FactoryEntry
    owner: User
    machines: dict[str, UUID]
    devices: dict[str, int]

    @property
    def anchor(self) -> float:
        """When the demonstration of this factory began: the middle of its simulated story."""
        return float(int(self.factory.created_at.timestamp()))


def found_person(email: str, name: str, role: str, entry: FactoryEntry) -> User:
    """Make or find a person who can sign in with the written-down password."""
    known = entry.users.get(role, {}).get("password")
    password = known or secrets.token_urlsafe(9)
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, name=name)
    elif known is None:
        user.set_password(password)
        user.save(update_fields=["password"])
    EmailAddress.objects.get_or_create(
        user=user, email=email, defaults={"verified": True, "primary": True}
    )
    entry.users[role] = {"email": email, "password": password}
    return user


def found_people(spec: FactorySpec, entry: FactoryEntry) -> dict[str, User]:
    """Make or find the five people, one a role."""
    return {
        role: found_person(f"{name.split()[0].lower()}@{spec.stem}.example", name, role, entry)
        for role, name in zip(Role.values, spec.people, strict=True)
    }


def found_factory(
    spec: FactorySpec, entry: FactoryEntry, people: dict[str, User]
) -> tuple[Factory, bool]:
    """Make or find the factory with its members and an API key; says whether it is new."""
    owner = people[Role.OWNER]
    factory = Factory.objects.filter(schema_name=spec.stem).first()
    is_new = factory is None
    if factory is None:
        factory = sign_up(spec.name, owner=owner, stem=spec.stem, time_zone=spec.time_zone)
    for role, user in people.items():
        if role != Role.OWNER:
            tenants_services.set_role(factory=factory, user=user, role=role, actor=owner)
    write_entry(factory, entry)
    return factory, is_new


def sign_up(name: str, *, owner: User, stem: str, time_zone: str = "UTC") -> Factory:
    """Ask for a factory as the page does, and wait until the worker has built it.

    Raises:
        LinkFailed: it could not be built, or nobody built it in time.
    """
    factory, job = tenants_services.request_factory(
        name=name, owner=owner, time_zone=time_zone, currency="EUR", stem=stem
    )
    deadline = time.monotonic() + BUILDING_TIMEOUT_S
    while factory.state == Factory.State.CREATING:
        job.refresh_from_db()
        if job.state in {Job.State.FAILED, Job.State.DEAD} or time.monotonic() > deadline:
            raise LinkFailed(
                "sign-up", f"{name}: {job.error or job.message or 'not built in time'}"
            )
        time.sleep(0.05)
        factory.refresh_from_db()
    return factory


def write_entry(factory: Factory, entry: FactoryEntry) -> None:
    """Write down where the factory is, with an API key that works."""
    entry.name, entry.schema = factory.name, factory.schema_name
    base = urlsplit(settings.BASE_URL)
    entry.url = f"https://{names.host_label(factory.schema_name)}.{base.netloc}"
    if not entry.api_key or credentials.find_api_key(entry.api_key) is None:
        entry.api_key = credentials.issue_api_key(factory=factory, name="Demonstration")


def open_the_gates(factory: Factory) -> None:
    """Let weeks be posted within a minute, and as many machines and people as the story has."""
    FactoryLimits.objects.filter(factory=factory).update(
        max_machines=None,
        max_people=None,
        readings_per_s=READINGS_PER_S,
        changed_at=timezone.now(),
    )


def found_plant(
    spec: FactorySpec, entry: FactoryEntry, factory: Factory, owner: User, *, days: float
) -> Founded:
    """Make or find machines and devices; a device whose token was lost gets a new one."""
    open_the_gates(factory)
    anchor = float(int(factory.created_at.timestamp()))
    since = datetime.fromtimestamp(history_start(anchor, days), UTC)
    with factory_context(factory):
        _work_every_day()
        machines = {machine.name: machine.pk for machine in production_selectors.machines()}
        for machine in spec.machines:
            if machine.name not in machines:
                machines[machine.name] = production_services.add_machine(
                    name=machine.name,
                    machine_type=_machine_type(machine.type),
                    commissioned_at=since,
                    cost_per_hour_minor=machine.cost_per_hour_minor,
                ).pk
        staged = {machine.name: machines[machine.name] for machine in spec.machines}
        devices = found_devices(factory, entry, staged)
        _sort_devices(spec)
        watching.found_rules(at=timezone.now())
    return Founded(factory, entry, owner, staged, devices)


def _work_every_day() -> None:
    """The demonstration works on weekends too: whoever looks on a Sunday sees machines run."""
    site = production_selectors.main_site()
    assert site is not None
    if production_selectors.shift_at(site=site, at=A_SUNDAY) is None:
        production_services.add_shifts(
            site=site, weekdays="67", valid_from=datetime(2020, 1, 2, tzinfo=UTC).date()
        )


def _machine_type(spec: TypeSpec) -> MachineType:
    return production_services.machine_type(
        name=spec.name,
        component=spec.component,
        # Empty: life is counted in hours at work, as the control names them.
        life_meter_key="",
        life_meter_unit="h",
        ideal_rate_per_h=spec.ideal_rate_per_h,
    )


def found_devices(
    factory: Factory, entry: FactoryEntry, machines: dict[str, UUID]
) -> dict[str, int]:
    """Make or find one device a machine, each with a token that is written down."""
    known = {
        device.name: device.pk for device in telemetry_selectors.devices_of(list(machines.values()))
    }
    for name, machine_id in machines.items():
        if name not in known:
            device, token = telemetry_services.create_device(name=name, machine_id=machine_id)
            known[name], entry.tokens[name] = device.pk, token
        elif name not in entry.tokens:
            credentials.revoke_device(factory=factory, device_id=known[name])
            entry.tokens[name] = credentials.issue_device_token(
                factory=factory, device_id=known[name], name=name
            )
    return known


def _sort_devices(spec: FactorySpec) -> None:
    """Group the devices by the gateway that they hang on, tagged with the kind of machine."""
    machines = {machine.name: machine for machine in spec.machines}
    for device in telemetry_selectors.devices():
        machine = machines.get(device.name)
        if machine is not None and not device.group:
            tags = [machine.type.code, "control" if machine.type.speaks else "sensors-only"]
            changes = {"group": machine.gateway.capitalize(), "tags": tags}
            telemetry_services.change_device(device=device, changes=changes)


def history_start(anchor: float, days: float) -> float:
    """The midnight (UTC) at which the story of a factory begins."""
    return (anchor // DAY_S - days) * DAY_S
