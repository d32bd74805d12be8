"""Tell maintenance plans the newest values of the signals that they count or watch."""

from datetime import datetime, timedelta

from production import selectors as production_selectors
from production import services as production_services
from telemetry.selectors import devices_of, latest_values

# An older value says nothing about the machine as it is.
FRESH = timedelta(days=1)


def feed_plans(*, at: datetime) -> int:
    """Report what meters and watched values read now; return how many were reported.

    Of several devices of a machine with the same key, the newest reading counts.
    """
    watched = production_selectors.watched_values()
    if not watched:
        return 0
    machines = {device.pk: device.machine_id for device in devices_of(watched)}
    newest: dict[tuple[object, str], datetime] = {}
    for device_id, last in latest_values(machines).items():
        machine_id = machines[device_id]
        if machine_id is None or last.ts is None or not at - FRESH < last.ts:
            continue
        for key in watched[machine_id] & last.values.keys():
            value, known = last.values[key], newest.get((machine_id, key))
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and (known is None or known < last.ts):
                newest[machine_id, key] = last.ts
                production_services.report_meter(
                    machine_id=machine_id, key=key, value=float(value), measured_at=last.ts
                )
    return len(newest)
