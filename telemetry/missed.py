"""What a live page may not have heard: from the database, in the words of the factory's channel.

`latest` answers for readings and for refusals: both set its `received_at`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec
from django.db import connection

from telemetry import selectors
from telemetry.alarms import announcing
from telemetry.selectors import alarms as alarm_selectors
from telemetry.selectors.latest import LatestReading
from telemetry.times import iso_utc, to_us
from tenants.context import factory_context
from tenants.models import Factory

# What carries a time is seen a little later: it has to be committed and announced, a page takes
# its time to be drawn, and the clocks of servers differ. What is told twice is shown once.
OVERLAP = timedelta(seconds=10)
MAX_DEVICES = 1_000


def lines(
    since: datetime, at: datetime, *, factory: Factory, device_ids: Collection[int] = ()
) -> list[bytes]:
    """Return what was heard since a time as lines of the channel; no device ids: of all.

    Of each device only its newest reading, of all alarms that there are news, and of more than
    1,000 devices those heard last. `n` is 0, since how many readings there were is not known;
    `age_s` is how long ago the device was heard. Leaves no connection behind in its thread.
    """
    start = since - OVERLAP
    try:
        with factory_context(factory):
            found = selectors.heard_since(start, device_ids=device_ids, n=MAX_DEVICES)
            alarmed_at = alarm_selectors.last_event_at()
    finally:
        if not connection.in_atomic_block:
            connection.close()
    told = [_line(device_id, latest, at) for device_id, latest in found.items()]
    if alarmed_at is not None and alarmed_at >= start:
        told.append(announcing.message_of([]))
    return told


def _line(device_id: int, latest: LatestReading, at: datetime) -> bytes:
    return msgspec.json.encode(
        {
            "device_id": device_id,
            "ts": iso_utc(to_us(latest.ts or latest.received_at)),
            "values": latest.values,
            "n": 0,
            "age_s": max(0.0, (at - latest.received_at).total_seconds()),
        }
    )
