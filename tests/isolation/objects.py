"""Objects of acme for every name that a URL or a task may carry; globex must never reach them.

A new parameter in a URL, or a new task, needs an entry here: without one the suite fails.
"""

from collections.abc import Callable
from typing import Any

from production import selectors, services
from tenants import credentials
from tenants.models import Factory, Invitation, Membership


def machine_id(_factory: Factory) -> str:
    found = selectors.machines().filter(asset_tag="isolated").first()
    if found is None:
        kind = services.machine_type(name="Isolated mill")
        found = services.add_machine(name="Isolated", machine_type=kind, asset_tag="isolated")
    return str(found.pk)


def member_id(factory: Factory) -> int:
    return Membership.objects.get(factory=factory, role="viewer").pk


# Path parameter -> how to make one in acme (called inside acme's schema).
PATH_PARAMETERS: dict[str, Callable[[Factory], Any]] = {
    "machine_id": machine_id,
    "membership_id": member_id,
}
# Task -> the arguments with which it would touch something of acme.
TASK_ARGUMENTS: dict[str, Callable[[Factory], dict[str, Any]]] = {}

# Routes whose address names nothing of a factory, on a factory's host: what they show is decided
# by the host alone, and a stranger meets 404 there (tested for each).
__all__ = ["PATH_PARAMETERS", "TASK_ARGUMENTS", "Invitation", "credentials"]
