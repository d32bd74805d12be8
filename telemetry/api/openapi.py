"""Our own way in for readings, described for people and generators of clients.

`telemetry.ingest` answers it before Django is asked, so no view of Django's can describe it; the
other ways in are in `openapi_dialects`.
"""

from typing import Any

from telemetry.api import openapi_dialects
from telemetry.ingest import limits
from telemetry.ingest.dialects import PATH

_TIME = {
    "description": "RFC 3339 with an offset, or whole milliseconds since 1970. Absent: the "
    "server's time at arrival.",
    "oneOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}],
}
_VALUE = {
    "oneOf": [
        {"type": "number"},
        {"type": "boolean"},
        {"type": "string", "maxLength": limits.MAX_TEXT_LENGTH},
    ]
}
_SCHEMAS: dict[str, Any] = {
    "Reading": {
        "type": "object",
        "description": "A time and a set of values by key. (device, key, ts) identifies a value: "
        "sending it again is a duplicate, a different value is kept as a revision.",
        "properties": {
            "ts": _TIME,
            "values": {"type": "object", "minProperties": 1, "additionalProperties": _VALUE},
        },
        "required": ["values"],
    },
    "Columns": {
        "type": "object",
        "description": "Many readings, column by column: half the cost of as many objects. All "
        "lists are as long as ts; null means that the reading has no such key.",
        "properties": {
            "ts": {"type": "array", "items": _TIME},
            "values": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {
                    "type": "array",
                    "items": {"oneOf": [*_VALUE["oneOf"], {"type": "null"}]},
                },
            },
        },
        "required": ["ts", "values"],
    },
    "Receipt": {
        "type": "object",
        "description": "received = stored + duplicates + rejected, always. What is stored is "
        "committed and readable.",
        "properties": {
            "received": {"type": "integer"},
            "stored": {"type": "integer"},
            "duplicates": {"type": "integer"},
            "rejected": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "index": {"type": "integer"},
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                    },
                    "required": ["index", "code", "message"],
                },
            },
            "server_time": {"type": "string", "format": "date-time"},
        },
        "required": ["received", "stored", "duplicates", "rejected", "server_time"],
    },
}
_STORED = {
    "received": 48,
    "stored": 46,
    "duplicates": 1,
    "rejected": [{"index": 7, "code": "not_finite", "message": "The value of 'vib' is not ..."}],
    "server_time": "2026-11-17T10:42:07.512345Z",
}
_REFUSALS = {
    "400": "The body cannot be taken apart into readings.",
    "401": "No token of a device, or one that is unknown, revoked or expired.",
    "405": "Readings are sent by POST.",
    "408": "The body did not arrive in time.",
    "413": f"More than {limits.MAX_BODY_BYTES} bytes, {limits.MAX_UNZIPPED_BYTES} unzipped, or "
    f"{limits.MAX_READINGS_PER_REQUEST} readings.",
    "415": "Neither JSON nor gzip of it.",
    "429": "More than the plan allows; Retry-After says when to come again.",
    "503": "Not stored; Retry-After says when to come again.",
}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body() -> dict[str, Any]:
    one = {"ts": "2026-11-17T10:42:07Z", "values": {"spindle_load_pct": 58.2, "vib_rms": 3.1}}
    two = {"ts": "2026-11-17T10:42:08Z", "values": {"execution": "ACTIVE", "fault": False}}
    many = {"type": "array", "items": _reference("Reading")}
    columns = {
        "ts": [1763376127000, 1763376128000],
        "values": {"spindle_load_pct": [58.2, 58.9], "vib_rms": [3.1, None]},
    }
    wrapped = {"type": "object", "properties": {"readings": many}, "required": ["readings"]}
    return {
        "required": True,
        "description": "Plain or with Content-Encoding: gzip.",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_reference("Reading"), many, wrapped, _reference("Columns")]},
                "examples": {
                    "one": {"summary": "One reading", "value": one},
                    "many": {"summary": "Many readings", "value": [one, two]},
                    "wrapped": {"summary": "Many, in an object", "value": {"readings": [one]}},
                    "columns": {"summary": "Many, in columns", "value": columns},
                },
            }
        },
    }


def _operation() -> dict[str, Any]:
    receipt = {"application/json": {"schema": _reference("Receipt"), "example": _STORED}}
    refusal = {"application/json": {"schema": _reference("Error")}}
    return {
        "operationId": "telemetry_send",
        "summary": "Send readings",
        "description": "A 2xx answer means that what it reports as stored is committed, once, "
        "and readable. One bad reading never sinks the others.",
        "tags": ["telemetry"],
        "security": [{"deviceToken": []}],
        "requestBody": _body(),
        "responses": {
            "200": {
                "description": "At least one reading was taken.",
                "content": receipt,
                "headers": openapi_dialects.RATE_HEADERS,
            },
            "422": {"description": "Every reading was refused.", "content": receipt},
            **{
                status: {"description": description, "content": refusal}
                for status, description in _REFUSALS.items()
            },
        },
    }


def add_ingest(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """Write the way in for readings into the document (a spectacular hook)."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {}).update(_SCHEMAS)
    components.setdefault("securitySchemes", {})["deviceToken"] = {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "takt_dev_...",
        "description": "The token of a device.",
    }
    result["paths"][PATH] = {"post": _operation()}
    openapi_dialects.add(result)
    return result
