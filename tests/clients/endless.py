"""A device that sends without end, to be killed: python endless.py URL TOKEN QUEUE CA LEDGER FIRST.

What it is about to hand over and what was taken is in its ledger, a line each, fsynced.
"""

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from takt_device import Client

T0 = datetime(2026, 11, 17, tzinfo=UTC)


def main() -> None:
    url, token, queue, ca_file, ledger, first = sys.argv[1:]
    n = int(first)
    with Path(ledger).open("a") as file, Client(url, token, queue, ca_file=ca_file) as client:
        print("ready", flush=True)
        while True:
            # Mostly one at a time, now and then a handful in one commit, out of order.
            size = 7 if n % 5 == 0 else 1
            items = [({"n": n + i, "even": (n + i) % 2 == 0}, T0 + timedelta(seconds=(n + i) ^ 3))
                     for i in range(size)]  # fmt: skip
            _write(file, {"sending": [n, n + size]})
            client.send_many(items)
            _write(file, {"taken": [n, n + size]})
            n += size


def _write(file, entry) -> None:
    file.write(json.dumps(entry) + "\n")
    file.flush()
    os.fsync(file.fileno())


if __name__ == "__main__":
    main()
