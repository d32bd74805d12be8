"""The ways to say it: each takes requests of one form and answers as its own clients expect.

    Native      POST /api/v1/telemetry
    Influx      POST /api/v2/write and /write: line protocol, answered as InfluxDB does
                https://docs.influxdata.com/influxdb/v2/api/#operation/PostWrite
    Things      POST /api/v1/<token>/telemetry: ThingsBoard's HTTP device API
    Attributes  /api/v1/<token>/attributes of the same
                https://thingsboard.io/docs/reference/http-api/

All are the same to what lies behind: the device is the token's, a reading is a reading, and what
is answered as stored is committed.
"""

import re
import time
from collections.abc import MutableMapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

import msgspec

from telemetry.ingest import columnar, decoding, lineprotocol, salvaging, uniform
from telemetry.ingest.decoding import Decoded, ServerTimes
from telemetry.ingest.errors import Headers, RequestRefused
from telemetry.ingest.planning import Submission
from telemetry.ingest.uniform import Keys
from telemetry.times import iso_utc

Scope = MutableMapping[str, Any]
Answer = tuple[int, Headers, bytes]

PATH = "/api/v1/telemetry"
_JSON: Headers = ((b"content-type", b"application/json"),)
_ENCODE = msgspec.json.Encoder().encode


class Native:
    """Our own form; the one that must cost nothing."""

    methods: ClassVar[tuple[str, ...]] = ("POST",)
    is_token_in_path: ClassVar[bool] = False

    def authorization(self, header: bytes) -> bytes:
        """What stands for `Authorization: Bearer ...`."""
        return header

    def decode(
        self, body: bytes, *, usual: Keys | None, now_us: int, server_times: ServerTimes
    ) -> Decoded | None:
        """Decode a well-formed body; None when it needs `salvage`.

        `usual`: the keys of the batch that the device sent last, where it had but one shape.
        """
        return _rows(body, usual, now_us, server_times) or columnar.decode(
            body, now_us=now_us, server_times=server_times
        )

    def salvage(self, body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded:
        return salvaging.salvage(body, now_us=now_us, server_times=server_times)

    def receipt(self, submission: Submission) -> Answer:
        n_rejected = len(submission.rejected)
        rejected = _ENCODE(_named(submission)) if n_rejected else b"[]"
        body = b'{"received":%d,"stored":%d,"duplicates":%d,"rejected":%b,"server_time":"%b"}' % (
            submission.n_received,
            submission.n_stored,
            submission.n_duplicates,
            rejected,
            iso_utc(time.time_ns() // 1000).encode(),
        )
        return (422 if n_rejected and n_rejected == submission.n_received else 200), _JSON, body

    def refusal(self, refusal: RequestRefused) -> Answer:
        body = _ENCODE(
            {
                "code": refusal.code,
                "message": refusal.message,
                "detail": {},
                "server_time": iso_utc(time.time_ns() // 1000),
            }
        )
        return refusal.status, (*_JSON, *refusal.headers), body


def _rows(
    body: bytes, usual: Keys | None, now_us: int, server_times: ServerTimes
) -> Decoded | None:
    if usual is not None:
        found = uniform.decode(body, usual, now_us=now_us, server_times=server_times)
        if found is not None:
            return found
    return decoding.decode(body, now_us=now_us, server_times=server_times)


def _named(submission: Submission) -> list[dict[str, Any]]:
    return [{"index": r.index, "code": r.code, "message": r.message} for r in submission.rejected]


class Influx(Native):
    """InfluxDB's write API. `org`, `bucket` and `db` may be anything: the token says where."""

    # So many lines are named in one message.
    _MAX_NAMED: ClassVar[int] = 20
    _CODES: ClassVar[dict[int, str]] = {
        400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not found",
        405: "method not allowed", 408: "invalid", 413: "request too large", 415: "invalid",
        429: "too many requests", 503: "unavailable",
    }  # fmt: skip

    def __init__(self, query: bytes) -> None:
        asked = parse_qs(query.decode("latin-1")).get("precision", ["ns"])[-1]
        self._precision = asked.encode("latin-1").decode(errors="replace")

    def authorization(self, header: bytes) -> bytes:
        scheme, _, token = header.partition(b" ")
        return b"Bearer " + token if scheme.lower() == b"token" else header

    def decode(
        self, body: bytes, *, usual: Keys | None, now_us: int, server_times: ServerTimes
    ) -> Decoded | None:
        """Leave all of it to `salvage`, which keeps long bodies out of the event loop."""

    def salvage(self, body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded:
        unit_us = lineprotocol.PRECISIONS.get(self._precision)
        if unit_us is None:
            raise RequestRefused(
                400,
                "bad_precision",
                f"precision is one of ns, us, ms, s, not {self._precision[:20]!a}.",
            )
        return lineprotocol.decode(body, unit_us=unit_us, now_us=now_us, server_times=server_times)

    def receipt(self, submission: Submission) -> Answer:
        rejected = submission.rejected
        if not rejected:
            return 204, (), b""
        named = [f"line {r.index + 1}: {r.message}" for r in rejected[: self._MAX_NAMED]]
        more = len(rejected) - len(named)
        rest = f" ... and {more} more." if more else ""
        message = (
            f"partial write: {len(rejected)} not stored, "
            f"{submission.n_stored + submission.n_duplicates} readings stored. {' '.join(named)}"
        )
        return 400, _JSON, self._error("invalid", message + rest, line=rejected[0].index + 1)

    def refusal(self, refusal: RequestRefused) -> Answer:
        code = self._CODES.get(refusal.status, "internal error")
        message = refusal.message if refusal.status != 401 else "unauthorized access"
        return refusal.status, (*_JSON, *refusal.headers), self._error(code, message)

    @staticmethod
    def _error(code: str, message: str, **more: int) -> bytes:
        # `error` is where clients of version 1 look.
        return _ENCODE({"code": code, "message": message, "error": message, **more})


class Things(Native):
    """ThingsBoard's telemetry: `{key: value}`, `{"ts": ms, "values": {...}}`, or a list of them.

    200 with nothing in it means that all was stored; where something was not, 400 names it.
    """

    is_token_in_path = True

    def __init__(self, token: str) -> None:
        self._authorization = b"Bearer " + token.encode()

    def authorization(self, header: bytes) -> bytes:
        return self._authorization

    def decode(
        self, body: bytes, *, usual: Keys | None, now_us: int, server_times: ServerTimes
    ) -> Decoded | None:
        return _rows(body, usual, now_us, server_times)

    def salvage(self, body: bytes, *, now_us: int, server_times: ServerTimes) -> Decoded:
        return salvaging.salvage(
            body, now_us=now_us, server_times=server_times, normalise=_as_reading
        )

    def receipt(self, submission: Submission) -> Answer:
        if not submission.rejected:
            return 200, (), b""
        _, headers, body = super().receipt(submission)
        return 400, headers, body

    def refusal(self, refusal: RequestRefused) -> Answer:
        # Its devices know 400 for whatever is wrong with what they sent.
        status = 400 if refusal.status in (408, 415, 422) else refusal.status
        _, headers, body = super().refusal(refusal)
        return status, headers, body


def _as_reading(data: Any) -> Any:
    """A flat object is a reading without a time; a null in it says nothing."""
    if not isinstance(data, dict) or ("ts" in data and "values" in data):
        return data
    return {"values": {key: value for key, value in data.items() if value is not None}}


class Attributes(Things):
    """ThingsBoard's attributes of a device: posted as one object, asked for by name."""

    methods = ("GET", "POST")

    def __init__(self, token: str, query: bytes) -> None:
        super().__init__(token)
        self._asked = parse_qs(query.decode("latin-1"), keep_blank_values=True)

    @property
    def keys(self) -> list[str] | None:
        """The attributes asked for; empty for all, None where only the server's were."""
        if "clientKeys" not in self._asked:
            return None if "sharedKeys" in self._asked else []
        return [key for text in self._asked["clientKeys"] for key in text.split(",") if key]

    @staticmethod
    def found(attributes: dict[str, Any]) -> Answer:
        # Takt sets no attributes of devices, so there are none to share.
        return 200, _JSON, _ENCODE({"client": attributes} if attributes else {})


Dialect = Native
NATIVE = Native()
# The version whose write API this is; clients look for one.
PONG: Answer = (204, ((b"x-influxdb-build", b"Takt"), (b"x-influxdb-version", b"v2.7.0")), b"")
_IN_PATH = re.compile(r"/api/v1/([^/]+)/(telemetry|attributes)")
_WRITES = frozenset({"/api/v2/write", "/write"})
_PINGS = frozenset({"/ping", "/api/v2/ping"})


def find(scope: Scope) -> Dialect | None:
    """The dialect of a request other than to `PATH`; None where it is meant for the portal."""
    path: str = scope["path"]
    if path in _WRITES:
        return Influx(scope["query_string"])
    match = _IN_PATH.fullmatch(path)
    if match is None:
        return None
    if match[2] == "telemetry":
        return Things(match[1])
    return Attributes(match[1], scope["query_string"])


def answers_ping(scope: Scope) -> bool:
    """Say whether a client of InfluxDB asks if anybody is there."""
    return scope["path"] in _PINGS and scope["method"] in ("GET", "HEAD")
