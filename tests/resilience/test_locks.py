"""One factory's locked tables hold up that factory only."""

import os
import time
from pathlib import Path

import pytest

from tests.resilience.crew import Crew, Say
from tests.resilience.site import NEIGHBOUR, SCHEMA, Site

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

LOCK_S = float(os.environ.get("RESILIENCE_LOCK_S", "10"))
# While another factory waits for its lock, 500 ms each time it is tried.
OTHERS_S = 5.0
RECOVERY_S = 10.0


def test_a_lock_on_one_factory_holds_up_no_other(site: Site, tmp_path: Path, say: Say):
    held_up, free = Crew(site, tmp_path), Crew(site, tmp_path, schema=NEIGHBOUR)
    with held_up, free:
        for crew in (held_up, free):
            crew.wait_served(time.monotonic(), at_most_s=60)
        longest_s = 0.0
        with site.connect() as connection, connection.transaction():
            tables = (f"{SCHEMA}.{name}" for name in ("reading_hot", "latest", "reading_hour"))
            connection.execute(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE".encode())
            locked_at = time.monotonic()
            while time.monotonic() < locked_at + LOCK_S:
                took_s = free.wait_served(time.monotonic(), at_most_s=OTHERS_S)
                longest_s = max(longest_s, took_s)
        took_s = held_up.wait_served(time.monotonic(), at_most_s=RECOVERY_S)

        for crew in (held_up, free):
            crew.finish(at_most_s=RECOVERY_S)

    say(f"lock of {LOCK_S:g} s: others served within {longest_s:.2f} s, freed after {took_s:.2f} s")
    assert set(free.answers()) == {200}
    assert set(held_up.answers()) == {200, 503}
