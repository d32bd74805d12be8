"""The receiver in docs/notifications.md does what it says, against what Takt really sends."""

import os
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tenants import jobs
from tenants.models import Delivery
from tenants.notifications import delivering, endpoints

PAGE = Path(__file__).resolve().parents[2] / "docs" / "notifications.md"


@pytest.fixture
def example(tmp_path):
    """Return `example(secret, port)`: the program of the page, running, and where it prints."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    program, printed = tmp_path / "receiver.py", tmp_path / "printed"
    program.write_text(code)
    running: list[subprocess.Popen[bytes]] = []

    def start(secret, port):
        environment = {**os.environ, "TAKT_WEBHOOK_SECRET": secret, "PORT": str(port)}
        with printed.open("wb") as out:
            running.append(subprocess.Popen([sys.executable, program], env=environment, stdout=out))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return printed
        raise AssertionError("the receiver did not start")

    yield start
    for process in running:
        process.kill()
        process.wait(timeout=10)


def send(delivery, at):
    Delivery.objects.filter(pk=delivery.pk).update(state="planned", next_at=at)
    delivering.deliver(delivery_id=delivery.pk, at=at)
    delivery.refresh_from_db()
    return delivery.response_status


@pytest.mark.slow
def test_the_receiver_of_the_page_takes_what_is_signed_once_and_nothing_else(
    acme, settings, monkeypatch, example
):
    monkeypatch.setattr(jobs, "_send", lambda *_args: None)
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    now = datetime.now(UTC)
    endpoint, secret = endpoints.create(
        factory=acme, url=f"http://127.0.0.1:{port}/", topics=[], by=None, at=now
    )
    printed = example(secret, port)
    delivery = endpoints.ping(endpoint=endpoint, at=now)

    assert send(delivery, now) == 204
    assert send(delivery, now) == 204  # once more, as after a worker that died
    assert send(delivery, now - timedelta(minutes=10)) == 401
    endpoints.rotate(endpoint=endpoint, by=None, at=now)
    endpoint.refresh_from_db()
    assert send(delivery, now) == 204  # with both signatures
    endpoints.rotate(endpoint=endpoint, by=None, at=now)
    assert send(delivery, now) == 401  # the secret that it knows is gone
    assert printed.read_text() == "ping A ping from Takt\n"
