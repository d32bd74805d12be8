"""Posts recordings in batches over a few connections, each batch again until it is acknowledged."""

import http.client
import json
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import msgspec
import numpy as np

from tests.bench import bodies
from tests.bench.installation import post
from tests.bench.recorded import Recording

PATH = "/api/v1/telemetry"
N_CONNECTIONS = 4
# 24 signals of 2,000 readings are 1 MB.
N_READINGS = 2_000
_TIMEOUT_S = 60.0
# Batches rendered ahead of the answers.
_MOST_WAITING = 4 * N_CONNECTIONS
_encode = msgspec.json.Encoder().encode


class Refused(Exception):
    """The server did not store what should have been new."""


class Poster:
    """Posts to the devices of one factory; `tokens` are theirs in order."""

    def __init__(self, port: int, tokens: list[str], *, as_columns: bool) -> None:
        self._port = port
        self._tokens = tokens
        self._threads = ThreadPoolExecutor(N_CONNECTIONS)
        self._local = threading.local()
        self._waiting: list[Future[int]] = []
        self._as_columns = as_columns
        self.n_stored = 0

    def post(self, recording: Recording) -> int:
        """Post a recording in batches, soon; return how many points it holds."""
        for first in range(0, len(recording.times_ms), N_READINGS):
            body = self._body(recording, slice(first, first + N_READINGS))
            token = self._tokens[recording.device]
            n = len(recording.times_ms[first : first + N_READINGS])
            self._waiting.append(self._threads.submit(self._send, token, body, n))
            if len(self._waiting) >= _MOST_WAITING:
                self.n_stored += self._waiting.pop(0).result()
        return recording.n_points

    def finish(self) -> None:
        """Wait until everything is acknowledged.

        Raises:
            Refused: something was not stored, or counted as known already.
        """
        for one in self._waiting:
            self.n_stored += one.result()
        self._threads.shutdown()

    def _body(self, recording: Recording, part: slice) -> bytes:
        times: list[int] = np.asarray(recording.times_ms)[part].tolist()
        columns = {key: values[part] for key, values in recording.columns.items()}
        if self._as_columns:
            return _encode({"ts": times, "values": columns})
        rows = zip(times, zip(*columns.values(), strict=True), strict=True)
        return _encode(
            [{"ts": ts, "values": dict(zip(columns, row, strict=True))} for ts, row in rows]
        )

    def _send(self, token: str, body: bytes, n: int) -> int:
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            status, answer = self._answer(token, body)
            if status == 200 and answer["stored"] == n:
                return n
            if status not in (0, 429, 503) or time.monotonic() > deadline:
                raise Refused(f"{n} readings were answered with {status}: {str(answer)[:500]}")
            time.sleep(0.2)

    def _answer(self, token: str, body: bytes) -> tuple[int, dict[str, Any]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._local.connection = connection
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection.request("POST", PATH, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def speaks_columns(port: int, token: str) -> bool:
    """Ask whether a body of columns is understood, by two readings of 2025."""
    status, answer = post(port, PATH, token, bodies.probe("columns"))
    return status == 200 and answer["stored"] == 2
