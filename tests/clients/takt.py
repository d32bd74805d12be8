"""Takt itself for clients: the application and its port for devices, to be killed at will."""

import datetime as dt
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from infra.local.certificates import Certificates
from infra.local.stack import Stack
from telemetry import packing
from telemetry.times import from_us
from tests.bench.factories import factories_made
from tests.bench.installation import ROOT, free_port, installation

_START_S = 60.0
# What a device has stored, as it meant it: numbers, booleans and texts.
_STORED = """
SELECT h.ts, jsonb_object_agg(k.key, CASE k.kind
    WHEN 'n' THEN to_jsonb(v.value) WHEN 'b' THEN to_jsonb(v.value = 1) ELSE to_jsonb(w.text) END)
FROM bench.reading_hot h JOIN bench.telemetry_keyset s ON s.id = h.keyset_id,
    unnest(h.vals, s.key_ids) AS v(value, key_id)
    JOIN bench.telemetry_signalkey k ON k.id = v.key_id
    LEFT JOIN bench.telemetry_word w ON k.kind = 's' AND w.id = v.value::int
WHERE h.device_id = %s GROUP BY h.ts ORDER BY h.ts
"""
_PACKED = """
SELECT s.payload, array_agg(k.key ORDER BY u.i)
FROM bench.segment s JOIN bench.telemetry_keyset t ON t.id = s.keyset_id,
    unnest(t.key_ids) WITH ORDINALITY AS u(key_id, i)
    JOIN bench.telemetry_signalkey k ON k.id = u.key_id
WHERE s.device_id = %s GROUP BY s.device_id, s.t0, s.t1, s.digest
"""


@dataclass(frozen=True)
class Sender:
    """A device of the factory, and the token that it was given."""

    id: int
    token: str


@dataclass
class Takt:
    stack: Stack
    environment: dict[str, str]
    certificates: Certificates
    tokens: list[str]
    port: int = field(default_factory=free_port)
    portal_port: int = field(default_factory=free_port)
    web: "subprocess.Popen[bytes] | None" = None
    _next: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca_file(self) -> Path:
        return self.certificates.authority

    def device(self) -> Sender:
        """Return a device that has sent nothing yet."""
        n = next(self._next)
        return Sender(n + 1, self.tokens[n])

    def stored(self, device: Sender) -> dict[dt.datetime, dict[str, Any]]:
        """Return the readings of a device by time, straight from the tables (numbers if packed)."""
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            found: dict[dt.datetime, dict[str, Any]] = dict(
                connection.execute(_STORED, [device.id]).fetchall()
            )
            packed = connection.execute(_PACKED, [device.id]).fetchall()
        for payload, keys in packed:
            times, values = packing.unpack(payload)
            for time_us, cell in zip(times.tolist(), values.tolist(), strict=True):
                found.setdefault(from_us(time_us), dict(zip(keys, cell, strict=True)))
        return dict(sorted(found.items()))

    def start(self) -> None:
        command = [
            str(Path(sys.executable).parent / "granian"), "--interface", "rsgi",
            "--host", "127.0.0.1", "--port", str(self.portal_port), "--http", "1", "--no-ws",
            "--ssl-certificate", str(self.certificates.certificate),
            "--ssl-keyfile", str(self.certificates.key),
            "--log-level", "error", "config.rsgi:application",
        ]  # fmt: skip
        devices = {
            "TAKT_DEVICE_ADDRESS": f"127.0.0.1:{self.port}",
            "TAKT_DEVICE_CERTIFICATE": str(self.certificates.certificate),
            "TAKT_DEVICE_KEY": str(self.certificates.key),
        }
        self.web = subprocess.Popen(
            command, env=self.environment | devices, cwd=ROOT, start_new_session=True
        )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            assert self.web.poll() is None, "the server did not start"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise TimeoutError("the server did not listen")

    def kill(self) -> None:
        """kill -9 of the server and its workers."""
        if self.web is not None:
            os.killpg(self.web.pid, signal.SIGKILL)
            self.web.wait()
            self.web = None


@contextmanager
def running(n_devices: int) -> Iterator[Takt]:
    with installation("clients") as (stack, environment):
        certificates = Certificates(Path(environment["TAKT_VAR"]))
        certificates.ensure(now=dt.datetime.now(dt.UTC))
        takt = Takt(
            stack,
            environment,
            certificates,
            factories_made(environment, {"bench": n_devices})["bench"],
        )
        takt.start()
        try:
            yield takt
        finally:
            takt.kill()
