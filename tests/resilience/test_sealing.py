"""Compaction and archiving killed half-way: what they move is never gone and never there twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from telemetry import services
from tests.resilience.crew import Crew, Say, go_through
from tests.resilience.sealing import Mover
from tests.resilience.site import SCHEMA, Site

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

RECOVERY_S = 10.0


@pytest.mark.parametrize("work", ["compact", "archive"])
def test_moving_readings_may_be_killed_at_any_point(
    site: Site, tmp_path: Path, say: Say, work: str
):
    if not hasattr(services, work):
        pytest.skip(f"telemetry.services.{work} does not exist yet")
    if work == "archive":
        site.environment.update(site.stack.add("s3"))
    mover = Mover(site.environment, work, SCHEMA)

    def kill_mover(chance: random.Random) -> float:
        """kill -9 while it moves what the crew has sent: all of it is of hours long closed."""
        pid = mover.start()
        time.sleep(chance.uniform(0.02, 0.6))
        os.kill(pid, signal.SIGKILL)
        return time.monotonic()

    try:
        crew = Crew(site, tmp_path)
        go_through(crew, kill_mover, name=f"kill {work}", at_most_s=RECOVERY_S, say=say)
        assert set(crew.answers()) <= {200, 503}

        # Uninterrupted, it finishes what the killed ones began.
        mover.run_once()
        crew.check()
    finally:
        mover.close()
