"""Starts PostgreSQL and Valkey before Django reads its settings; loaded by `-p` (pyproject.toml).

The first process of a run (the controller, under xdist) starts them once; the others inherit
their addresses from the environment.
"""

import atexit
import os
from pathlib import Path

from infra.local.stack import Stack

VAR = Path(__file__).resolve().parent.parent / "var" / "test"
_INHERITED = "TAKT_TEST_INSTALLATION"


def _start() -> Stack | None:
    if os.environ.get(_INHERITED):
        return None
    stack = Stack(var=VAR, services=["postgres", "valkey"], log=lambda _line: None)
    os.environ.update(stack.start())
    os.environ.update(
        {
            _INHERITED: "1",
            "TAKT_VAR": str(VAR),
            "TAKT_DB_POOL": "0",
            "TAKT_MAILBOX": "1",
            "TAKT_BASE_URL": "https://localhost:8443",
            "TAKT_SECRET_KEY": "only-for-tests-" + "x" * 32,
            "TAKT_ARTIFACT_KEY": "only-for-tests-" + "y" * 32,
        }
    )
    atexit.register(stack.stop)
    return stack


stack = _start()
