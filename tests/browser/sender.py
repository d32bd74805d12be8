"""Posts readings of many devices over HTTPS at a steady pace, until its input ends.

    python -m tests.browser.sender < plan.json

The plan: {"url": ..., "ca_file": ..., "tokens": [...], "readings_per_s": n, "every_s": s}. One
line on the output says what was stored.
"""

import json
import math
import select
import ssl
import sys
import time
from http.client import HTTPSConnection
from urllib.parse import urlsplit


def main() -> None:
    plan = json.loads(sys.stdin.readline())
    address = urlsplit(plan["url"])
    context = ssl.create_default_context(cafile=plan["ca_file"])
    link = HTTPSConnection(address.hostname or "", address.port, context=context, timeout=20)
    tokens, every_s = plan["tokens"], plan["every_s"]
    n_each = round(plan["readings_per_s"] * every_s / len(tokens))
    began, n_stored, turn = time.monotonic(), 0, 0
    print("sending", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for index, token in enumerate(tokens):
            # The devices take turns, spread over the interval.
            due = began + every_s * (turn + index / len(tokens))
            time.sleep(max(0.0, due - time.monotonic()))
            body = json.dumps({"readings": readings(index, n_each, every_s)})
            link.request(
                "POST",
                address.path,
                body,
                {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )
            n_stored += json.loads(link.getresponse().read()).get("stored", 0)
        turn += 1
    took_s = time.monotonic() - began
    print(json.dumps({"n_stored": n_stored, "per_s": n_stored / took_s}), flush=True)


def readings(index: int, n: int, every_s: float) -> list[dict[str, object]]:
    now = time.time()
    made = []
    for i in range(n):
        at = now - every_s + (i + 1) * every_s / n
        load = 55 + 20 * math.sin(at / 30 + index)
        made.append(
            {
                "ts": round(at * 1000),
                "values": {
                    "execution": "ACTIVE",
                    "spindle_load_pct": round(load, 2),
                    "temperature_c": round(40 + load / 10, 2),
                },
            }
        )
    return made


if __name__ == "__main__":
    main()
