"""Runs services that move readings, in processes that may be killed.

`python -m tests.resilience.sealing WORK SCHEMA` sets up Django once. At `loop` it forks a
process that does the work over and over, and answers with its number; at `once` it does the work
and answers 0.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from tests.bench.installation import ROOT


class Mover:
    """The work of one factory."""

    def __init__(self, environment: Mapping[str, str], work: str, schema: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.resilience.sealing", work, schema],
            env={
                **environment,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "TAKT_DB_POOL": "0",
            },
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> int:
        """Start a process that works until it is killed; returns its number."""
        return self._ask("loop")

    def run_once(self) -> None:
        """Do the work to its end."""
        self._ask("once")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _ask(self, what: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def _serve(work: str, schema: str) -> None:
    import django

    django.setup()
    from django.db import connections

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the killed ones ended
    # What services log must not stand between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        pid = 0
        if line.strip() == "once":
            _work(work, schema)
            connections.close_all()
        else:
            # No connection is open here, so the child shares none.
            pid = os.fork()
            while pid == 0:
                _work(work, schema)
        print(pid, file=answers, flush=True)


def _work(work: str, schema: str) -> None:
    from django.utils import timezone

    from telemetry import services
    from telemetry.models import ArchiveFile
    from tenants import storage
    from tenants.context import factory_context
    from tenants.models import FactoryLimits

    with factory_context(schema) as factory:
        if work == "compact":
            services.compact(at=timezone.now())
            return
        # To the archive and back, so that there is always something to move.
        storage.ensure_bucket()
        FactoryLimits.objects.filter(factory=factory).update(archive_days=60)
        services.archive(at=timezone.now())
        for file in ArchiveFile.objects.all():
            services.restore(device_id=file.device_id, t0=file.t0)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
