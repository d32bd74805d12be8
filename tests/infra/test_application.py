"""Takt itself under the launcher: everything is started once for all tests of this module."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.failures import ServiceFailed
from infra.local.service import REPOSITORY
from infra.local.stack import SERVICES
from tests.infra.conftest import CLEAN, our_processes, until, wait_for_line

pytestmark = [pytest.mark.slow, pytest.mark.chain, pytest.mark.resilience]


@pytest.fixture(scope="module")
def running(var: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "up"],
        env={**CLEAN, "TAKT_VAR": str(var), "PYTHONUNBUFFERED": "1"},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for_line(process, "Ctrl-C")
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def pids(var: Path) -> dict[str, int]:
    services: dict[str, int] = json.loads((var / "run.json").read_text())["services"]
    return services


def health(var: Path, host: str = "localhost", *, at: str = "TAKT_BASE_URL") -> int | None:
    """The answer of /health, as a client that trusts only our authority gets it."""
    address = json.loads((var / "env.json").read_text())["environment"][at]
    port = int(address.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(var / "ca.pem"))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(f"GET /health HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            answer = http.client.HTTPResponse(secure)
            answer.begin()
            return answer.status
    except (OSError, http.client.HTTPException):
        return None


def test_every_part_runs_and_answers_over_https(running, var):
    assert set(pids(var)) == set(SERVICES)
    assert health(var) == 200
    assert health(var, "acme.localhost") is not None
    assert health(var, at="TAKT_DEVICE_URL") == 200


def test_a_new_factory_gets_its_host_into_the_certificate(running, var):
    assert health(var, "initech.localhost") is None

    (var / "hosts/initech.localhost").touch()

    assert until(lambda: health(var, "initech.localhost"), within_s=60)
    assert until(lambda: health(var, "initech.localhost", at="TAKT_DEVICE_URL"), within_s=60)


@pytest.mark.parametrize("service", ["web", "worker", "beat", "alarms", "stripe"])
def test_what_is_killed_is_started_again(running, var, service):
    killed = pids(var)[service]

    os.kill(killed, signal.SIGKILL)

    assert until(lambda: pids(var)[service] != killed, within_s=10)
    assert until(lambda: health(var) == 200, within_s=60)


def test_being_killed_leaves_no_child_of_any_part(running, var):
    assert len(our_processes(var)) > len(SERVICES)

    running.kill()

    assert until(lambda: our_processes(var) == set(), within_s=30)


def test_a_set_up_that_fails_is_named_with_its_reason(make_stack, var):
    environ = CLEAN | {"TAKT_SECRET_KEY": "too short"}

    with pytest.raises(ServiceFailed) as failure:
        make_stack("postgres", "valkey", "web", environ=environ).start()

    assert failure.value.service == "setup"
    assert "TAKT_SECRET_KEY" in failure.value.log_tail
    assert our_processes(var) == set()
