"""A stand-in of its own for each test process, and a gateway whose every call is checked."""

import os
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from billing import facts, gateways, services
from billing.counting import MachineHour
from billing.gateways import StripeGateway
from billing.models import BillingAccount
from tenants.context import current_schema
from tenants.models import Factory
from tests.billing import contract

API_KEY = "sk_test_for_tests_only"
WEBHOOK_SECRET = "whsec_for_tests_only"
NOV_1 = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLOCK_PATIENCE_S = 180.0
# Calls beside the API speak plain HTTP: reading the authorities for each would take 40 ms.
_PLAIN: dict[str, Any] = {"verify": False, "trust_env": False}


def pytest_report_header() -> str:
    path = contract.description_path()
    if path.exists():
        return f"stripe contract: {path}"
    return f"stripe contract: NOT CHECKED, {path} is absent (set TAKT_DATA)"


@dataclass
class Standin:
    """A running stand-in."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_standin(folder: Path, *, port: int | None = None, webhook_url: str = "") -> Standin:
    port = port or free_port()
    command = [sys.executable, "-m", "billing.sandbox", "--port", str(port)]
    command += ["--data-dir", str(folder), "--api-key", API_KEY]
    if webhook_url:
        command += ["--webhook-url", webhook_url, "--webhook-secret", WEBHOOK_SECRET]
    root = Path(__file__).resolve().parents[2]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=root)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 20
    while True:
        try:
            if httpx.get(f"{url}/health", **_PLAIN).status_code == 200:
                return Standin(url, folder, process)
        except httpx.HTTPError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise RuntimeError((folder / "log").read_text())
        time.sleep(0.05)


@pytest.fixture(scope="session")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    running = start_standin(tmp_path_factory.mktemp("stripe"))
    yield running
    running.stop()


@pytest.fixture
def wire() -> contract.CheckedSession:
    """What goes between the gateway and the stand-in; `before` and `after` may spoil it."""
    path = contract.description_path()
    return contract.CheckedSession(contract.load() if path.exists() else None)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have every test of the gateway run against Stripe's test mode too, where there is a key.

    Not those that set the stand-in's switches or call it beside the gateway.
    """
    names = set(metafunc.fixturenames)
    if "stripe" not in names:
        return
    sides: list[Any] = ["stand-in"]
    if not names & {"standin", "switch", "api", "world"}:
        key = os.environ.get("STRIPE_API_KEY", "")
        absent = pytest.mark.skipif(
            not key.startswith("sk_test_"),
            reason="set STRIPE_API_KEY=sk_test_... to check against Stripe itself",
        )
        sides.append(pytest.param("Stripe", marks=[pytest.mark.verification, absent]))
    metafunc.parametrize("stripe", sides, indirect=True)


class PatientGateway(StripeGateway):
    """Waits for a test clock that moves: Stripe's own takes its time, the stand-in's does not."""

    def advance_clock(self, *, clock_id: str, to: datetime) -> None:
        super().advance_clock(clock_id=clock_id, to=to)
        deadline = time.monotonic() + CLOCK_PATIENCE_S
        while self.clock_time(clock_id) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the clock {clock_id} does not arrive")
            time.sleep(0.5)


@pytest.fixture
def stripe(
    request: pytest.FixtureRequest,
    wire: contract.CheckedSession,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> StripeGateway:
    """The gateway that the services get, without the library's own retries."""
    if request.param == "Stripe":
        key, base = os.environ["STRIPE_API_KEY"], ""
    else:
        key, base = API_KEY, request.getfixturevalue("standin").url
    gateway = PatientGateway(api_key=key, api_base=base, max_retries=0, session=wire)
    settings.STRIPE_API_KEY = key
    monkeypatch.setattr(gateways, "_gateway", lambda _key, _base: gateway)
    return gateway


@pytest.fixture
def api(standin: Standin, wire: contract.CheckedSession) -> contract.CheckedApi:
    """Plain calls to the stand-in, each held against the contract."""
    return contract.CheckedApi(wire, standin.url, API_KEY)


@pytest.fixture
def switch(standin: Standin) -> Iterator[Callable[..., None]]:
    """Set switches of the stand-in; they are as they were after the test."""
    before = httpx.get(f"{standin.url}/_sandbox/switches", **_PLAIN).json()

    def change(**values: object) -> None:
        answer = httpx.post(f"{standin.url}/_sandbox/switches", data=values, **_PLAIN)
        assert answer.status_code == 200, answer.text

    yield change
    change(**before)


@dataclass
class Facts:
    """What telemetry would say is stored, per factory."""

    stored: dict[str, dict[tuple[datetime, str], int]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    changed: dict[str, list[tuple[datetime, datetime]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(
        self,
        source: str,
        hour: datetime,
        n: int,
        *,
        schema: str = "acme",
        at: datetime | None = None,
    ) -> None:
        known = self.stored[schema]
        known[hour, source] = known.get((hour, source), 0) + n
        self.changed[schema].append((at or hour + HOUR, hour))

    def usage(self, *, start: datetime, end: datetime) -> list[MachineHour]:
        return [
            MachineHour(hour, source, n)
            for (hour, source), n in self.stored[current_schema()].items()
            if start <= hour < end
        ]

    def changed_hours(self, *, since: datetime) -> set[datetime]:
        return {hour for at, hour in self.changed[current_schema()] if at >= since}


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Facts:
    known = Facts()
    monkeypatch.setattr(facts, "usage", known.usage)
    monkeypatch.setattr(facts, "changed_hours", known.changed_hours)
    return known


@pytest.fixture
def run_jobs(django_capture_on_commit_callbacks: Callable) -> Callable:
    """Run a block and what it queued for after its commit, here and now."""
    return django_capture_on_commit_callbacks


def on_workshop(factory: Factory, *, since: datetime) -> BillingAccount:
    """Put a factory on Workshop with a card, in simulated time that stands at `since`."""
    started = services.start_subscription(
        factory=factory, plan="workshop", by=None, at=since, simulated=True
    )
    services.open_subscription(subscription_id=str(started.pk), simulated=True)
    services.use_card(factory=factory, payment_method="pm_card_visa")
    account = services.account_for(factory)
    account.refresh_from_db()
    return account
