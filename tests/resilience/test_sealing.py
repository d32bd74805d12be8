"""Compaction and archiving killed half-way: what they move is never gone and never there twice."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.resilience.crew import N_ROUNDS, Crew, Say, go_through
from tests.resilience.reader import Reader
from tests.resilience.sealing import Mover
from tests.resilience.site import SCHEMA, Site

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

RECOVERY_S = 10.0


def kill_at_work(mover: Mover, chance: random.Random) -> float:
    """kill -9 somewhere in what it moves; all of it is of hours long closed."""
    pid = mover.start()
    time.sleep(chance.uniform(0.02, 0.6))
    os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def test_compaction_may_be_killed_at_any_point(site: Site, tmp_path: Path, say: Say):
    mover = Mover(site.environment, "compact", SCHEMA)
    try:
        crew = Crew(site, tmp_path)
        go_through(
            crew,
            lambda chance: kill_at_work(mover, chance),
            name="kill compact",
            at_most_s=RECOVERY_S,
            say=say,
        )
        assert set(crew.answers()) <= {200, 503}

        # Uninterrupted, it finishes what the killed ones began.
        mover.run_once()
        crew.check()
    finally:
        mover.close()


def test_archive_and_restore_may_be_killed_at_any_point(site: Site, tmp_path: Path, say: Say):
    """Nobody sends meanwhile: for what is in the archive nothing is taken."""
    crew = Crew(site, tmp_path)
    with crew:
        crew.wait_served(time.monotonic(), at_most_s=120)
        time.sleep(1)
        crew.finish(at_most_s=RECOVERY_S)
    environment = {**site.environment, **site.stack.add("s3")}
    compact = Mover(environment, "compact", SCHEMA)
    mover = Mover(environment, "archive", SCHEMA)
    reader, site.reader = site.reader, Reader(environment)
    try:
        compact.run_once()
        for seed in range(N_ROUNDS):
            kill_at_work(mover, random.Random(f"kill archive {seed}"))
            crew.check()
            say(f"kill archive {seed}: 0 lost, double, phantom")

        mover.run_once()
        crew.check()
    finally:
        site.reader.close()
        site.reader = reader
        mover.close()
        compact.close()
