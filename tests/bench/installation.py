"""An installation of its own for a benchmark: PostgreSQL and Valkey, migrated and empty."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.local.certificates import Certificates
from infra.local.stack import Stack

_ADDRESSES = ("DATABASE_URL", "VALKEY_URL", "MLFLOW_DATABASE_URL", "TAKT_VAR")
ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def installation(
    name: str = "bench", *, services: tuple[str, ...] = (), var: Path | None = None
) -> Iterator[tuple[Stack, dict[str, str]]]:
    """Yield a fresh installation and its environment; it is stopped and removed afterwards.

    Args:
        name: its folder below TAKT_VAR, unless `var` names another place.
        services: what is started beside PostgreSQL and Valkey.
    """
    if var is None:
        var = Path(os.environ.get("TAKT_VAR") or ROOT / "var").resolve() / f"installation-{name}"
    shutil.rmtree(var, ignore_errors=True)
    own = own_environment()
    wanted = ["postgres", "valkey", *services]
    stack = Stack(var=var, services=wanted, log=lambda _line: None, environ=own)
    try:
        environment = {**own, **stack.start(), "TAKT_VAR": str(var)}
        subprocess.run(
            [sys.executable, "manage.py", "migrate_schemas", "--shared", "-v", "0"],
            env=environment, cwd=ROOT, check=True, capture_output=True,
        )  # fmt: skip
        yield stack, environment
    finally:
        stack.stop()
        shutil.rmtree(var, ignore_errors=True)


def own_environment() -> dict[str, str]:
    """Return the environment without what replaces the parts of another installation, such as
    that of a test run."""
    return {k: v for k, v in os.environ.items() if k not in _ADDRESSES}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    application: str,
    *,
    interface: str,
    environment: dict[str, str],
    options: tuple[str, ...] = (),
    certificates: Certificates | None = None,
) -> Iterator[tuple[int, int]]:
    """Serve an application with one granian worker; yields its port and process id.

    With certificates it speaks TLS, as an installation does.
    """
    port = free_port()
    if certificates is not None:
        certificates.ensure(now=datetime.now(UTC))
        options += (
            "--ssl-certificate", str(certificates.certificate),
            "--ssl-keyfile", str(certificates.key), "--ssl-protocol-min", "tls1.2",
        )  # fmt: skip
    command = [
        str(Path(sys.executable).parent / "granian"), "--interface", interface,
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--http", "1",
        "--no-ws", "--log-level", "warning", *options, application,
    ]  # fmt: skip
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def served_takt(
    environment: dict[str, str], certificates: Certificates | None = None
) -> Iterator[tuple[int, int, int]]:
    """Serve Takt by one process; yields the portal's port, that for devices, and its id."""
    device_port = free_port()
    devices = {"TAKT_DEVICE_ADDRESS": f"127.0.0.1:{device_port}"}
    if certificates is not None:
        certificates.ensure(now=datetime.now(UTC))
        devices["TAKT_DEVICE_CERTIFICATE"] = str(certificates.certificate)
        devices["TAKT_DEVICE_KEY"] = str(certificates.key)
    server = served(
        "config.rsgi:application",
        interface="rsgi",
        environment=environment | devices,
        certificates=certificates,
    )
    with server as (port, pid):
        wait_for(device_port)
        yield port, device_port, pid


def wait_for(port: int, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Wait until somebody listens.

    Raises:
        RuntimeError: the process has ended.
        TimeoutError: nobody does within a minute.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise RuntimeError("the server did not start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the server did not listen")


def post(port: int, path: str, token: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Post one body to a server on this machine; return status and answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"{}")
    finally:
        connection.close()


def cpu_s(roots: tuple[int, ...]) -> float:
    """CPU seconds used so far by processes and their descendants, ended children included."""
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            parents[int(entry.name)] = int(fields[1])
            used[int(entry.name)] = sum(map(int, fields[11:15]))
    family = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used.get(pid, 0) for pid in family) * tick_s
