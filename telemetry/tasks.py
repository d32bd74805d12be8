"""Celery entry points of devices and alarms."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from telemetry.services import alarms
from tenants.jobs import factory_task


@factory_task("telemetry.escalate_alarm")
def escalate_alarm(*, alarm_id: int, step: int, **_kwargs: Any) -> dict[str, Any]:
    """Tell the people of the next step of an alarm that nobody has taken."""
    return {"told": alarms.escalate(alarm_id=alarm_id, step=step, at=timezone.now())}


@factory_task("telemetry.unshelve_alarm")
def unshelve_alarm(*, point_id: int, until: str, **_kwargs: Any) -> dict[str, Any]:
    """End a shelf whose time is over."""
    ended = alarms.end_shelf(
        point_id=point_id, until=datetime.fromisoformat(until), at=timezone.now()
    )
    return {"ended": ended}
