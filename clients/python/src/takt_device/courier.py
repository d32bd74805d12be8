"""One batch to the server and its answer back, with nothing decided about either.

Speaks POST /api/v1/telemetry: a list of readings, and a receipt that counts them.
"""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

import httpx

from takt_device.clock import ServerClock, steady_s
from takt_device.queue import Batch

_LONGEST_RETRY_AFTER_S = 3600.0
_WORTH_ZIPPING = 500


@dataclass(frozen=True)
class Receipt:
    stored: int
    duplicates: int
    rejected: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What came back; `status` 0 where nothing did."""

    status: int
    receipt: Receipt | None = None
    code: str = ""
    message: str = ""
    retry_after_s: float = 0.0


class Courier:
    def __init__(self, url: str, token: str, ca_file: str | None, timeout_s: float) -> None:
        self.clock = ServerClock()
        self._url = url.rstrip("/") + "/api/v1/telemetry"
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)),
            verify=ssl.create_default_context(cafile=ca_file),
        )

    def close(self) -> None:
        self._http.close()

    def deliver(self, batch: Batch) -> Answer:
        body = ("[" + ",".join(batch.bodies) + "]").encode()
        headers = {"Idempotency-Key": batch.id, "Date": formatdate(usegmt=True)}
        if len(body) > _WORTH_ZIPPING:
            body = gzip.compress(body, 6, mtime=0)
            headers["Content-Encoding"] = "gzip"
        sent_s = steady_s()
        try:
            response = self._http.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Answer(0, message=f"no answer: {error or type(error).__name__}")
        answered_s = steady_s()
        found = json_object(response)
        server_at = _time(found.get("server_time"))
        if server_at is not None:
            self.clock.learn(
                server_s=server_at.timestamp(), sent_s=sent_s, answered_s=answered_s
            )  # fmt: skip
        receipt = _receipt(found, len(batch)) if response.status_code in (200, 422) else None
        said = found.get("message") or response.reason_phrase
        return Answer(
            response.status_code,
            receipt,
            code=str(found.get("code", "")),
            message=f"{response.status_code}: {said}",
            retry_after_s=retry_after_s(response.headers),
        )


def json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _receipt(found: Mapping[str, Any], n_sent: int) -> Receipt | None:
    """Read a receipt; None for what does not count what was sent, such as a captive portal's."""
    try:
        rejected = tuple(
            (int(item["index"]), str(item["code"]), str(item["message"]))
            for item in found["rejected"]
        )
        receipt = Receipt(int(found["stored"]), int(found["duplicates"]), rejected)
    except (KeyError, TypeError, ValueError):
        return None
    counted = receipt.stored + receipt.duplicates + len({index for index, _, _ in rejected})
    return receipt if counted == found.get("received") == n_sent else None


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the wait that the server asks for: seconds, or a date by the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        wait_s = float(value)
    else:
        until = _http_date(value)
        if until is None:
            return 0.0
        now = _http_date(headers.get("Date", "")) or datetime.now(timezone.utc)
        wait_s = (until - now).total_seconds()
    return min(max(wait_s, 0.0), _LONGEST_RETRY_AFTER_S)


def _http_date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _time(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
