"""The devices' side of telemetry: post readings over HTTPS until they are known to be stored.

What a good gateway does, and nothing that only this repository could do: it knows an address, a
certificate authority and one token a device (the contract is `POST /api/v1/telemetry`).
A reading is stored once however often it is sent, so everything that ends without an answer is
simply sent again.
"""

import gzip
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

PATH = "/api/v1/telemetry"
BATCH = 2_000
TIMEOUT_S = 30.0
LONGEST_WAIT_S = 30.0
GIVE_UP_AFTER_S = 120.0

Row = Mapping[str, Any]


class Refused(Exception):
    """The installation answered that it will not take this, now or later."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"telemetry was refused with {status}: {body[:300]}")
        self.status = status


class FalseReceipt(Exception):
    """An answer does not account for every reading that was sent."""


class Unreachable(Exception):
    """Nobody answered for as long as a gateway is ready to wait."""


class _Answer(msgspec.Struct):
    received: int
    stored: int
    duplicates: int
    rejected: list[dict[str, Any]]


@dataclass
class Tally:
    """What became of everything that was posted."""

    n_sent: int = 0
    n_stored: int = 0
    n_duplicates: int = 0
    n_requests: int = 0
    n_resent: int = 0
    refusals: dict[str, int] = field(default_factory=dict)

    @property
    def n_refused(self) -> int:
        return sum(self.refusals.values())

    def add(self, other: "Tally") -> None:
        self.n_sent += other.n_sent
        self.n_stored += other.n_stored
        self.n_duplicates += other.n_duplicates
        self.n_requests += other.n_requests
        self.n_resent += other.n_resent
        for code, n in other.refusals.items():
            self.refusals[code] = self.refusals.get(code, 0) + n


class Gateway:
    """Posts for any number of devices over one connection that is kept open. For one thread."""

    def __init__(
        self,
        *,
        base_url: str,
        ca_file: Path | None,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        trust = ssl.create_default_context(cafile=str(ca_file)) if ca_file else True
        self._client = httpx.Client(
            base_url=base_url, verify=trust, timeout=TIMEOUT_S, transport=transport, trust_env=False
        )
        self._sleep, self._clock = sleep, clock
        self.tally = Tally()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def post(self, rows: Sequence[Row], *, token: str) -> None:
        """Send one batch and return when every reading of it is stored or refused by name.

        Raises:
            Refused: the token, the body or the account is not accepted.
            FalseReceipt: the answer does not add up.
            Unreachable: no answer within two minutes.
        """
        if not rows:
            return
        body = gzip.compress(msgspec.json.encode({"readings": rows}), compresslevel=1)
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }
        answer = self._until_answered(body, headers)
        n_refused = len(answer.rejected)
        if not answer.received == len(rows) == answer.stored + answer.duplicates + n_refused:
            raise FalseReceipt(f"{len(rows)} readings sent, answer: {answer}")
        self.tally.n_sent += len(rows)
        self.tally.n_stored += answer.stored
        self.tally.n_duplicates += answer.duplicates
        for refusal in answer.rejected:
            code = str(refusal.get("code"))
            self.tally.refusals[code] = self.tally.refusals.get(code, 0) + 1

    def _until_answered(self, body: bytes, headers: dict[str, str]) -> _Answer:
        deadline = self._clock() + GIVE_UP_AFTER_S
        for attempt in range(1_000_000):
            wait_s = min(0.25 * 2 ** min(attempt, 6), LONGEST_WAIT_S)
            self.tally.n_requests += 1
            self.tally.n_resent += attempt > 0
            try:
                response = self._client.post(PATH, content=body, headers=headers)
            except httpx.TransportError as error:
                # It may be stored or not: sending it again is safe and settles the question.
                reason = f"{type(error).__name__}: {error}"
            else:
                # 422: every reading was refused, and the receipt says why.
                if response.status_code in {200, 201, 202, 207, 422}:
                    return msgspec.json.decode(response.content, type=_Answer)
                if response.status_code not in {408, 429, 500, 502, 503, 504}:
                    raise Refused(response.status_code, response.text)
                wait_s = _asked_wait_s(response) or wait_s
                reason = f"status {response.status_code}"
            if self._clock() + wait_s > deadline:
                raise Unreachable(reason)
            self._sleep(wait_s)
        raise Unreachable("no answer")


def _asked_wait_s(response: httpx.Response) -> float | None:
    try:
        return min(float(response.headers["Retry-After"]), LONGEST_WAIT_S)
    except (KeyError, ValueError):
        return None


def batches(rows: Iterable[Row], *, size: int = BATCH) -> Iterator[list[Row]]:
    """Cut rows into batches of at most `size`, in order."""
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
