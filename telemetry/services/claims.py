"""A gateway that knows no factory becomes a device of the one whose code it was given."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from telemetry.models import Device
from telemetry.services.devices import NameTaken, Origin, create_device
from tenants import audit, claims
from tenants.context import factory_context
from tenants.models import Factory


@dataclass(frozen=True, slots=True)
class Claimed:
    """A device just claimed, with its token, which is shown only now."""

    factory: Factory
    device: Device
    token: str


def claim_device(*, code: str, name: str, hardware_id: str, address: str, at: datetime) -> Claimed:
    """Make the bearer of a code a device of the factory that made the code.

    Raises:
        tenants.claims.CodeRefused: there is no such code, or it can be used no more.
        tenants.claims.TooManyGuesses: too many were tried in vain; nothing was looked at.
        NameTaken: the factory has a device of this name; the code is as good as before.
    """
    claims.reserve_guess(address=address, at=at)
    try:
        claimed = _claim(code, name, hardware_id, at)
    except claims.CodeRefused:
        audit.record(action="claim.refused", actor=None, target=claims.network(address))
        raise
    except NameTaken:
        claims.forgive_guess(address=address, at=at)
        raise
    claims.forgive_guess(address=address, at=at)
    return claimed


@transaction.atomic
def _claim(code: str, name: str, hardware_id: str, at: datetime) -> Claimed:
    used = claims.use(code=code, at=at)
    with factory_context(used.factory):
        device, token = create_device(
            name=name,
            group=used.group,
            origin=Origin(Device.Origin.CLAIM, hardware_id=hardware_id, claim_hint=used.hint),
        )
    return Claimed(used.factory, device, token)
