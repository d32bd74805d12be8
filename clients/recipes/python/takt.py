"""Sends readings to Takt with nothing but Python 3 (a queue on disk: the package takt-device)."""

import json
import random
import ssl
import time
import urllib.error
import urllib.request

TAKT_URL = "https://takt.example"
TAKT_KEY = "PUT-THE-KEY-HERE"
TAKT_CA = "/path/to/ca.pem"  # the authority behind the server's certificate; "": the system's

CONTEXT = ssl.create_default_context(cafile=TAKT_CA or None)


def send(values, ts=None):
    """Send one reading until it is answered for; return the answer."""
    # Stamped once, here: when it has to be sent again, Takt knows that it is the same reading.
    reading = {"ts": ts or time.time_ns() // 1_000_000, "values": values}
    request = urllib.request.Request(
        TAKT_URL + "/api/v1/telemetry",
        data=json.dumps(reading).encode(),
        headers={"Authorization": "Bearer " + TAKT_KEY, "Content-Type": "application/json"},
    )
    wait_s = 1
    while True:
        retry_after = ""
        try:
            with urllib.request.urlopen(request, timeout=20, context=CONTEXT) as answer:
                return json.load(answer)  # stored, or a duplicate: it had come already
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 422:  # refused; the answer says why
                    return json.load(error)
                if error.code != 429 and error.code < 500:
                    raise
                retry_after = error.headers.get("Retry-After", "")
        except OSError:
            pass  # no answer
        time.sleep(int(retry_after) if retry_after.isdigit() else wait_s * random.uniform(0.5, 1))
        wait_s = min(wait_s * 2, 60)


if __name__ == "__main__":
    print(send({"temperature_c": 21.4, "running": True, "program": "O1000"}))
