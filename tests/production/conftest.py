"""A mill with a part on the shelf, and the people who look after it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from production import services
from production.models import Machine, SparePart, WorkOrder
from production.services import Actor, PartFields
from tenants.models import User

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def machine(in_acme: Any) -> Machine:
    kind = services.machine_type(name="Mill", component="Spindle bearing")
    return services.add_machine(name="Mill 1", machine_type=kind)


@pytest.fixture
def operator(acme: Any) -> User:
    return User.objects.get(email="operator@acme.example")


@pytest.fixture
def actor(operator: User) -> Actor:
    return Actor(by=operator, at=NOON)


@pytest.fixture
def bearing(in_acme: Any) -> SparePart:
    fields = PartFields(part_no="7014", name="Spindle bearing", unit_cost_minor=18_000)
    return services.save_part(fields=fields)


@pytest.fixture
def reported(machine: Machine, operator: User) -> WorkOrder:
    """A repair that an operator asked for."""
    return services.create_work_order(
        machine_id=machine.pk, title="Spindle is loud", at=NOON, by=operator
    )


@pytest.fixture
def proposed(machine: Machine) -> WorkOrder:
    """An order that a prediction proposed."""
    return services.propose_work_order(
        machine_id=machine.pk, title="Replace the spindle bearing", dedup_key="wear:mill-1",
        at=NOON, reason="Vibration 2.1x its usual level.", component="Spindle bearing",
        first_checks=["Listen at the spindle"], source_ref="prediction:17",
    )  # fmt: skip
