"""A factory of its own, committed: readings go in by the real ingest path."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from production import selectors as production_selectors
from production import services as production_services
from telemetry.ingest.app import IngestApp
from telemetry.models import Alarm, AlarmRule, AlarmWatch, Device
from telemetry.services import alarm_rules
from telemetry.services.alarm_watching import FactoryWatcher
from tenants.models import FactoryLimits
from tests.telemetry.ingest.conftest import Door, Plant, Sender, database_url, db, plant

__all__ = ["database_url", "db", "plant"]  # fixtures

ABOVE = {"threshold": {"signal": "vib", "op": ">", "value": 4.5, "clear": 4.0}}
HELD = {"duration": {"for_s": 10, "condition": ABOVE}}


@dataclass
class Mill:
    """A machine of factory `mills` with one device, and what is done to it in a test."""

    plant: Plant
    sender: Sender
    name: str
    database_url: str

    def send(self, *bodies: list[dict[str, Any]]) -> None:
        """Post readings over HTTP's door, one request a body."""

        async def post_all() -> None:
            app = IngestApp(
                database_url=self.database_url,
                valkey_url="redis://127.0.0.1:1/0",
                base_url="https://localhost:8443",
            )
            try:
                for body in bodies:
                    answer = await Door(app).post(body, sender=self.sender)
                    assert answer.status == 200, answer.body
            finally:
                await app.shutdown()

        asyncio.run(post_all())

    def rule(self, condition: Any = ABOVE, **fields: Any) -> AlarmRule:
        """Make a rule on this machine that applies to the last days."""
        device = Device.objects.get(pk=self.sender.device_id)
        at = fields.pop("at", timezone.now())
        wanted = {
            "name": "Spindle vibration",
            "scope": "machine",
            "machine_id": device.machine_id,
            "severity": 3,
            "condition": condition,
            **fields,
        }
        valid_from = wanted.pop("valid_from", at - timedelta(days=10))
        return alarm_rules.create_rule(fields=wanted, by=None, at=at, valid_from=valid_from)


def values(start: datetime, numbers: list[float], *, every_s: float = 1.0) -> list[dict[str, Any]]:
    """Readings of the signal vib, one every second."""
    return [
        {
            "ts": int((start + timedelta(seconds=i * every_s)).timestamp() * 1000),
            "values": {"vib": number},
        }
        for i, number in enumerate(numbers)
    ]


@pytest.fixture
def inside(plant: Plant) -> Iterator[None]:
    with plant.inside("mills") as factory:
        FactoryLimits.objects.filter(factory=factory).update(max_machines=None)
        yield
        AlarmRule.objects.all().delete()
        AlarmWatch.objects.all().delete()


@pytest.fixture
def make_mill(plant: Plant, database_url: str, inside: None) -> Callable[[], Mill]:
    def make() -> Mill:
        with plant.inside("mills"):
            sender = plant.device("mills")
            n = production_selectors.machines().count()
            kind = production_services.machine_type(name="Mill")
            machine = production_services.add_machine(name=f"Mill {n}", machine_type=kind)
            Device.objects.filter(pk=sender.device_id).update(machine_id=machine.pk)
        return Mill(plant, sender, machine.name, database_url)

    return make


@pytest.fixture
def mill(make_mill: Callable[[], Mill]) -> Mill:
    return make_mill()


@pytest.fixture
def now() -> datetime:
    """A moment near the present, on a full second."""
    return timezone.now().replace(microsecond=0)


def watch(at: datetime, *, by: FactoryWatcher | None = None) -> list[int]:
    """Let a watcher do one pass; without one, as one that has just been started."""
    return (by or FactoryWatcher(holder="test")).run(at=at).changed


def times() -> list[tuple[datetime, datetime | None]]:
    rows = Alarm.objects.filter(withdrawn_at=None).order_by("raised_at")
    return list(rows.values_list("raised_at", "cleared_at"))


def kinds(alarm_id: int) -> list[str]:
    return list(Alarm.objects.get(pk=alarm_id).events.order_by("pk").values_list("kind", flat=True))
