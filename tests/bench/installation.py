"""An installation of its own for a benchmark: PostgreSQL and Valkey, migrated and empty."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.stack import Stack

_ADDRESSES = ("DATABASE_URL", "VALKEY_URL", "MLFLOW_DATABASE_URL", "TAKT_VAR")
ROOT = Path(__file__).resolve().parent.parent.parent


@contextmanager
def installation(name: str = "bench") -> Iterator[tuple[Stack, dict[str, str]]]:
    """Yield a fresh installation and its environment; it is stopped and removed afterwards."""
    var = Path(os.environ.get("TAKT_VAR") or ROOT / "var").resolve() / f"installation-{name}"
    shutil.rmtree(var, ignore_errors=True)
    # Not what replaces the parts of another installation, such as that of a test run.
    own = {k: v for k, v in os.environ.items() if k not in _ADDRESSES}
    services = ["postgres", "valkey"]
    stack = Stack(var=var, services=services, log=lambda _line: None, environ=own)
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    application: str, *, interface: str, environment: dict[str, str], options: tuple[str, ...] = ()
) -> Iterator[tuple[int, int]]:
    """Serve an application with one granian worker; yields its port and process id."""
    port = free_port()
    command = [
        str(Path(sys.executable).parent / "granian"), "--interface", interface,
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--http", "1",
        "--no-ws", "--log-level", "warning", *options, application,
    ]  # fmt: skip
    process = subprocess.Popen(command, env=environment, cwd=ROOT)
    try:
        _wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError("the server did not start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError("the server did not listen")
