"""Reads back what is stored, by the selectors that pages and models read by.

A process of its own, because the tests' own Django belongs to another installation. Run as
`python -m tests.resilience.reader`; a line in asks for a factory, a device and a range of times
in ms, a line out answers with its readings, or why they could not be read.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tests.bench.installation import ROOT
from tests.resilience.ledger import Values

KEYS = ("a", "b")
_TIMEOUT_S = 30.0


class Reader:
    """Asks a reading process of one installation."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.resilience.reader"],
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

    def stored(
        self, *, schema: str, device_id: int, start: int, end: int
    ) -> list[tuple[int, Values]]:
        """Read the readings of a device in [start, end) ms.

        Raises:
            TimeoutError: the database did not answer for as long as it may take to recover.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([schema, device_id, start, end]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, str):
            raise TimeoutError(answer)
        return [(ts, values) for ts, values in answer]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    import django

    django.setup()
    from django.db import Error, connection

    for line in sys.stdin:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                answer: Any = _read(*json.loads(line))
                break
            except Error as error:
                # The database was killed under us; the next try connects anew.
                connection.close()
                answer = str(error)
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
        print(json.dumps(answer), flush=True)


def _read(schema: str, device_id: int, start: int, end: int) -> list[tuple[int, Values]]:
    from telemetry import selectors
    from tenants.context import factory_context

    with factory_context(schema):
        found = selectors.raw(
            device_id=device_id,
            keys=KEYS,
            start=datetime.fromtimestamp(start / 1000, UTC),
            end=datetime.fromtimestamp(end / 1000, UTC),
        )
    columns = [found.columns[key].tolist() for key in KEYS]
    return [
        # A value that is absent (NaN) equals nothing that was sent.
        (ts, dict(zip(KEYS, values, strict=True)))
        for ts, *values in zip(found.times.tolist(), *columns, strict=True)
    ]


if __name__ == "__main__":
    _serve()
