"""A full disk refuses, corrupts nothing, and is forgotten when there is room again."""

import errno
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.resilience.crew import N_CLIENTS, PATIENCE, Crew, Say, go_through
from tests.resilience.site import SCHEMA, Site, running_site

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

SIZE_MB = 512
RECOVERY_S = 30.0


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Path]:
    """A tmpfs that PostgreSQL's own user may enter, too."""
    folder = Path(tempfile.mkdtemp(prefix="takt-disk-"))
    folder.chmod(0o755)
    options = f"size={SIZE_MB}m,mode=755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "takt-test", str(folder)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"disk full: mounting a tmpfs is not allowed here ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


@pytest.fixture(scope="module")
def small_site(small_disk: Path) -> Iterator[Site]:
    with running_site("disk", {SCHEMA: N_CLIENTS}, var=small_disk / "var") as found:
        if not any((small_disk / "var").glob("pg/data")):
            pytest.skip("disk full: PostgreSQL's data cannot lie on the tmpfs here")
        yield found


def test_a_full_disk_loses_nothing(small_site: Site, small_disk: Path, tmp_path: Path, say: Say):
    crew = Crew(small_site, tmp_path)
    ballast = small_disk / "ballast"

    def fill_disk(chance: random.Random) -> float:
        """Leave next to nothing until somebody was refused, then make room again."""
        n_refused = crew.answers()[503]
        _take_all_but(chance.randrange(128) * 1024, ballast)
        deadline = time.monotonic() + RECOVERY_S * PATIENCE
        while crew.answers()[503] == n_refused:
            assert time.monotonic() < deadline, "the disk is full and nobody is refused"
            time.sleep(0.01)
        time.sleep(chance.uniform(0.1, 0.8))
        ballast.unlink()
        freed_at = time.monotonic()
        _start_postgres_if_it_ended(small_site)
        return freed_at

    go_through(crew, fill_disk, name="disk full", at_most_s=RECOVERY_S, say=say)

    assert set(crew.answers()) == {200, 503}


def _take_all_but(n_bytes: int, ballast: Path) -> None:
    with ballast.open("wb") as file:
        while True:
            n_free = shutil.disk_usage(ballast.parent).free
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, n_free - n_bytes))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                continue  # the database has taken some of it meanwhile
            return


def _start_postgres_if_it_ended(site: Site) -> None:
    """A server that cannot write its log ends itself; somebody starts it again."""
    time.sleep(0.2)
    if site.stack.pid("postgres") is None:
        site.stack.restart("postgres")
