"""What can happen to devices and to the names of their signals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import EllipsisType
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from telemetry.models import Device, Signal
from telemetry.tags import normalised
from tenants import audit, credentials
from tenants.context import current_factory
from tenants.models import Credential, User


class NameTaken(Exception):
    """Another device of the factory has this name."""


class NoSuchToken(Exception):
    """The device has no such token."""


class DeviceRetired(Exception):
    """The device no longer takes part."""


class RangeEmpty(Exception):
    """The lower limit of a signal is not below the upper one."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a device came from, and what it said of itself when it came."""

    kind: str = Device.Origin.PERSON
    hardware_id: str = ""
    claim_hint: str = ""


BY_PERSON = Origin()


@transaction.atomic
def create_device(
    *,
    name: str,
    machine_id: UUID | None = None,
    note: str = "",
    group: str = "",
    tags: Iterable[str] = (),
    origin: Origin = BY_PERSON,
    by: User | None = None,
) -> tuple[Device, str]:
    """Make a device and return it with its token, which is shown only now.

    Raises:
        NameTaken: the factory has a device of this name.
        telemetry.tags.BadTag: a tag is none.
    """
    kept_tags = normalised(tags)
    try:
        with transaction.atomic():
            device = Device.objects.create(
                name=name, machine_id=machine_id, note=note, group=group.strip(), tags=kept_tags,
                origin=origin.kind, hardware_id=origin.hardware_id, claim_hint=origin.claim_hint,
            )  # fmt: skip
    except IntegrityError as error:
        # Never by the constraint's name: look whether it is the name that is taken.
        if Device.objects.filter(name=name).exists():
            raise NameTaken(name) from error
        raise
    token = credentials.issue_device_token(
        factory=current_factory(), device_id=device.pk, name=name
    )
    detail = {"machine_id": str(machine_id or ""), "origin": origin.kind}
    if origin.kind == Device.Origin.CLAIM:
        detail |= {"code": origin.claim_hint, "hardware_id": origin.hardware_id}
    _record("device.created", device, by, detail)
    return device, token


@transaction.atomic
def change_device(*, device: Device, changes: Mapping[str, Any], by: User | None = None) -> Device:
    """Change name, note, machine, group or tags of a device.

    Raises:
        NameTaken: another device of the factory has this name.
        telemetry.tags.BadTag: a tag is none.
    """
    changes = dict(changes)
    if "tags" in changes:
        changes["tags"] = normalised(changes["tags"])
    if "group" in changes:
        changes["group"] = changes["group"].strip()
    name = changes.get("name", device.name)
    if Device.objects.filter(name=name).exclude(pk=device.pk).exists():
        raise NameTaken(name)
    for field, value in changes.items():
        setattr(device, field, value)
    device.save(update_fields=list(changes))
    _record("device.changed", device, by, {"fields": sorted(changes)})
    return device


@transaction.atomic
def rotate_token(*, device: Device, by: User | None = None) -> str:
    """Return a second token; the first stays valid until it is revoked.

    Raises:
        DeviceRetired: the device no longer takes part.
        tenants.credentials.TooManyTokens: two are valid already.
    """
    if device.retired_at is not None:
        raise DeviceRetired
    token = credentials.issue_device_token(
        factory=current_factory(), device_id=device.pk, name=device.name
    )
    _record("device.token_added", device, by, {})
    return token


@transaction.atomic
def revoke_token(*, device: Device, credential_id: int, by: User | None = None) -> None:
    """End one token of a device; it is dead everywhere within 5 s.

    Raises:
        NoSuchToken: the device has no such valid token.
    """
    factory = current_factory()
    is_own = Credential.objects.filter(
        pk=credential_id, factory=factory, device_id=device.pk
    ).exists()
    if not is_own or not credentials.revoke(credential_id=credential_id, factory=factory):
        raise NoSuchToken
    _record("device.token_revoked", device, by, {"credential_id": credential_id})


@transaction.atomic
def retire_device(*, device: Device, at: datetime, by: User | None = None) -> None:
    """End a device: its tokens die, its readings stay."""
    credentials.revoke_device(factory=current_factory(), device_id=device.pk)
    Device.objects.filter(pk=device.pk, retired_at=None).update(retired_at=at)
    device.refresh_from_db()
    _record("device.retired", device, by, {})


@transaction.atomic
def describe_signal(
    *,
    signal: Signal,
    label: str | None = None,
    unit: str | None = None,
    role: str | None = None,
    scale: float | None = None,
    range_low: float | EllipsisType | None = ...,
    range_high: float | EllipsisType | None = ...,
    by: User | None = None,
) -> Signal:
    """Correct what a signal is called and what it tells; readings of the past follow.

    `range_low` and `range_high` are taken away by None and left as they are by default.

    Raises:
        RangeEmpty: the lower limit is not below the upper one.
    """
    named = {"label": label, "unit": unit, "role": role, "scale": scale}
    limits = {"range_low": range_low, "range_high": range_high}
    changes: dict[str, Any] = {
        **{name: value for name, value in named.items() if value is not None},
        **{name: value for name, value in limits.items() if value is not ...},
    }
    low = changes.get("range_low", signal.range_low)
    high = changes.get("range_high", signal.range_high)
    if low is not None and high is not None and low >= high:
        raise RangeEmpty
    for name, value in changes.items():
        setattr(signal, name, value)
    signal.save(update_fields=list(changes))
    audit.record(
        action="signal.described", actor=by, target=f"signal:{signal.pk}", detail=changes,
        factory=current_factory(),
    )  # fmt: skip
    return signal


def _record(action: str, device: Device, by: User | None, detail: Mapping[str, Any]) -> None:
    audit.record(
        action=action,
        actor=by,
        target=f"device:{device.pk}",
        detail={"name": device.name, **detail},
        factory=current_factory(),
    )
