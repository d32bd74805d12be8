"""How reliable machines were: their failures, over the hours that a floor above knows of."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from production.reliability import Outage, Reliability
from production.reliability import reliability as compute
from production.selectors.plant import failures


def reliability(
    *, machine_ids: Sequence[UUID], start: datetime, end: datetime, operating_h: float
) -> Reliability:
    """Return MTBF, its lower bound, MTTR and availability of machines in [start, end).

    Args:
        operating_h: hours of running, reduced speed and set-up, summed over the machines; this
            floor does not know states.
    """
    rows = failures(machine_ids).filter(failed_at__gte=start, failed_at__lt=end)
    outages = [Outage(row.failed_at, row.restored_at) for row in rows]
    return compute(operating_h=operating_h, outages=outages)
