"""What the account admins of a factory decide about how its devices may send."""

from django.db import transaction

from tenants import audit
from tenants.models import Factory, FactoryLimits, User


class TooSlow(Exception):
    """A device that may send less than one reading a second could never send a batch."""


@transaction.atomic
def change_ingest_rules(
    *,
    factory: Factory,
    token_in_path_allowed: bool,
    device_readings_per_s: int | None,
    by: User,
) -> FactoryLimits:
    """Change them; every web process knows within two seconds.

    Args:
        token_in_path_allowed: take ThingsBoard's addresses, which carry the token.
        device_readings_per_s: what one device may send; None for as much as the factory.

    Raises:
        TooSlow: nothing is changed.
    """
    if device_readings_per_s is not None and device_readings_per_s < 1:
        raise TooSlow
    limits = FactoryLimits.objects.select_for_update().get(factory=factory)
    wanted = {
        "token_in_path_allowed": token_in_path_allowed,
        "device_readings_per_s": device_readings_per_s,
    }
    changed = {name: value for name, value in wanted.items() if getattr(limits, name) != value}
    if changed:
        for name, value in changed.items():
            setattr(limits, name, value)
        limits.save(update_fields=[*changed, "changed_at"])
        audit.record(action="ingest_rules.changed", actor=by, detail=changed, factory=factory)
    return limits
