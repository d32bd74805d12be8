"""Takt itself: web server (portal, API and ingest), worker, clock, and what watches alarms."""

from __future__ import annotations

import datetime as dt
import http.client
import os
import signal
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

from infra.local.certificates import Certificates
from infra.local.processes import Command
from infra.local.service import LOOPBACK, REPOSITORY, Service, Unhealthy, answers_ok

WEB_PORT = 8443
DEVICE_PORT = 8444
_WEB_WORKERS = min(2, os.cpu_count() or 1)
# Within so many bytes of its log a worker has said that it is ready.
_LONGEST_GREETING = 100_000
_QUEUES = ("default", "learn", "plan")


class Web(Service):
    """granian with HTTPS on the loopback address, and in the same processes a port for devices."""

    name: ClassVar[str] = "web"
    # The first start compiles every module.
    start_timeout_s: ClassVar[float] = 90.0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.home.port(self.name, WEB_PORT)

    @property
    def device_port(self) -> int:
        """Where devices are listened to."""
        return self.home.port("devices", DEVICE_PORT)

    @property
    def certificates(self) -> Certificates:
        """The files it presents."""
        return Certificates(self.home.var)

    def prepare(self) -> None:
        self.certificates.ensure(now=dt.datetime.now(dt.UTC))

    def command(self, env: Mapping[str, str]) -> Command:
        options = {
            "interface": "rsgi",
            "host": LOOPBACK,
            "port": str(self.port),
            "workers": str(_WEB_WORKERS),
            "ssl-certificate": str(self.certificates.certificate),
            "ssl-keyfile": str(self.certificates.key),
            # Old gateways speak nothing newer.
            "ssl-protocol-min": "tls1.2",
            "backlog": "2048",
            "workers-kill-timeout": "5s",
            # After SIGHUP an old worker goes so long after the new one was started, which has to
            # be serving by then.
            "respawn-interval": "10",
        }
        argv = [sys.executable, "-m", "granian", "--respawn-failed-workers", "--no-ws"]
        for name, value in options.items():
            argv += [f"--{name}", value]
        devices = {
            "TAKT_DEVICE_ADDRESS": f"{LOOPBACK}:{self.device_port}",
            "TAKT_DEVICE_CERTIFICATE": str(self.certificates.certificate),
            "TAKT_DEVICE_KEY": str(self.certificates.key),
        }
        return Command([*argv, "config.rsgi:application"], env=devices, cwd=REPOSITORY)

    def check(self, env: Mapping[str, str]) -> None:
        # The certificate is checked on the way, against the authority that clients get.
        context = ssl.create_default_context(cafile=str(self.certificates.authority))
        host = urlsplit(env["TAKT_BASE_URL"]).netloc
        for port in (self.port, self.device_port):
            connection = http.client.HTTPSConnection(
                "localhost", port, timeout=5.0, context=context
            )
            answers_ok(connection, "/health", host=host)

    reload_signal: ClassVar[signal.Signals] = signal.SIGHUP

    def renew(self) -> bool:
        """Make the certificate anew if a host was added; say whether a reload is due."""
        return self.certificates.ensure(now=dt.datetime.now(dt.UTC))


class _Talking(Service):
    """Ready when it says so in its log."""

    start_timeout_s: ClassVar[float] = 90.0
    says: ClassVar[bytes]
    _log_start = 0

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.home.log_file(self.name)
        self._log_start = log.stat().st_size if log.exists() else 0

    def check(self, env: Mapping[str, str]) -> None:
        with self.home.log_file(self.name).open("rb") as log:
            log.seek(self._log_start)
            if self.says not in log.read(_LONGEST_GREETING):
                raise Unhealthy(f"has not said {self.says.decode()!r}")


class _Celery(_Talking):
    def _command(self, *arguments: str) -> Command:
        argv = [sys.executable, "-m", "celery", "-A", "config", *arguments, "--loglevel", "INFO"]
        return Command(argv, cwd=REPOSITORY)


class Worker(_Celery):
    """Runs jobs: schemas, training, scoring, billing."""

    name: ClassVar[str] = "worker"
    says: ClassVar[bytes] = b" ready."

    def command(self, env: Mapping[str, str]) -> Command:
        # Alone on this machine: no neighbours to look for.
        alone = ("--without-mingle", "--without-gossip")
        return self._command("worker", "-Q", ",".join(_QUEUES), "-c", "2", "-n", "takt@%h", *alone)


class Beat(_Celery):
    """Sends periodic tasks."""

    name: ClassVar[str] = "beat"
    says: ClassVar[bytes] = b"beat: Starting"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def command(self, env: Mapping[str, str]) -> Command:
        schedule = Path(self.folder, "schedule")
        return self._command("beat", "--schedule", str(schedule))


class Alarms(_Talking):
    """Evaluates the alarm rules of all factories on the stream of readings."""

    name: ClassVar[str] = "alarms"
    says: ClassVar[bytes] = b"Watching alarms."

    def command(self, env: Mapping[str, str]) -> Command:
        return Command([sys.executable, "manage.py", "watch_alarms"], cwd=REPOSITORY)
