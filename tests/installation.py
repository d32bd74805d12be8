"""Starts PostgreSQL and Valkey before Django reads its settings; loaded by `-p` (pyproject.toml).

The first process of a run (the controller, under xdist) starts them once; the others inherit
their addresses from the environment. Each worker has a Valkey of its own: its databases of
PostgreSQL are its own too, but the factories in them have the names that all workers use.
"""

import atexit
import os
from pathlib import Path

from infra.local.stack import Stack

VAR = Path(__file__).resolve().parent.parent / "var" / "test"
_INHERITED = "TAKT_TEST_INSTALLATION"


def _start() -> Stack | None:
    if os.environ.get(_INHERITED):
        return _start_valkey(os.environ.get("PYTEST_XDIST_WORKER"))
    if "STRIPE_API_KEY" in os.environ:  # the tests that speak to Stripe hear nothing from it
        os.environ.setdefault("STRIPE_WEBHOOK_SECRET", "whsec_only_for_tests")
    stack = Stack(var=VAR, services=["postgres", "valkey"], log=lambda _line: None)
    os.environ.update(stack.start())
    os.environ.update(
        {
            _INHERITED: "1",
            "TAKT_VAR": str(VAR),
            "TAKT_DB_POOL": "0",
            "TAKT_MAILBOX": "1",
            "TAKT_BASE_URL": "https://localhost:8443",
            "TAKT_DEVICE_URL": "https://localhost:8444",
            "TAKT_SECRET_KEY": "only-for-tests-" + "x" * 32,
            "TAKT_ARTIFACT_KEY": "only-for-tests-" + "y" * 32,
        }
    )
    atexit.register(stack.stop)
    return stack


def _start_valkey(worker: str | None) -> Stack | None:
    if worker is None:
        return None
    # An address in the environment would stand for one that runs already.
    own = {name: value for name, value in os.environ.items() if name != "VALKEY_URL"}
    stack = Stack(
        var=VAR / f"valkey-{worker}", services=["valkey"], log=lambda _line: None, environ=own
    )
    os.environ["VALKEY_URL"] = stack.start()["VALKEY_URL"]
    atexit.register(stack.stop)
    return stack


stack = _start()
