"""The ways in for fleets that speak to something else already: InfluxDB, ThingsBoard."""

from typing import Any

from telemetry.ingest import limits
from telemetry.ingest.lineprotocol import PRECISIONS

RATE_HEADERS: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": "q readings in w seconds, of the factory or of the device "
        "(draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
        "example": '"factory";q=3000000;w=600',
    },
    "RateLimit": {
        "description": "r readings are left; all of them again in t seconds.",
        "schema": {"type": "string"},
        "example": '"factory";r=2990412;t=2',
    },
}
_RETRY: dict[str, Any] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_LINES = (
    "spindle,host=gw7,axis=x load=58.2,n_parts=7i 1763376127000000000\n"
    'controller execution="ACTIVE",door_open=false 1763376127000000000'
)
_SCHEMAS: dict[str, Any] = {
    "InfluxError": {
        "type": "object",
        "description": "An error as InfluxDB 2 answers it; `error` is for clients of version 1.",
        "properties": {
            "code": {
                "type": "string",
                "enum": [
                    "invalid", "unauthorized", "not found", "method not allowed",
                    "request too large", "too many requests", "unavailable", "internal error",
                ],
            },
            "message": {"type": "string"},
            "error": {"type": "string"},
            "line": {"type": "integer", "description": "The first line that was not stored."},
        },
        "required": ["code", "message"],
    }
}  # fmt: skip


def _influx_error(description: str, example: dict[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/InfluxError"}}
    if example:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string", **schema},
    }


def _write(version: int) -> dict[str, Any]:
    ignored = ("org", "bucket") if version == 2 else ("db", "rp")
    partial = {
        "code": "invalid",
        "message": "partial write: 1 not stored, 2 readings stored. line 2: The value of "
        "'spindle.load' is not a finite number.",
        "error": "partial write: ...",
        "line": 2,
    }
    return {
        "operationId": f"influx_write_v{version}",
        "summary": f"Send line protocol, as to InfluxDB {version}",
        "description": "Telegraf and the clients of InfluxDB work unchanged. The key of a value is "
        "`measurement.field`, or `measurement` for a field called `value`; tags other than `host` "
        "follow as `{tag=value}`. Lines of one time become one reading.",
        "tags": ["telemetry"],
        "security": [{"influxToken": []}, {"deviceToken": []}],
        "parameters": [
            *(_query(name, "Anything: the token says where it goes.") for name in ignored),
            _query("precision", "The unit of timestamps.", default="ns", enum=list(PRECISIONS)),
        ],
        "requestBody": {
            "required": True,
            "description": "Plain or with Content-Encoding: gzip.",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": _LINES}},
        },
        "responses": {
            "204": {"description": "All of it is stored.", "headers": RATE_HEADERS},
            "400": _influx_error("Some lines were not stored; the others are.", partial),
            "401": _influx_error("The token is unknown, revoked or expired."),
            "413": _influx_error(
                f"More than {limits.MAX_BODY_BYTES} bytes, {limits.MAX_UNZIPPED_BYTES} unzipped, "
                f"or {limits.MAX_READINGS_PER_REQUEST} lines."
            ),
            "429": {**_influx_error("More than the plan allows."), "headers": _RETRY},
            "503": {**_influx_error("Not stored; send it again."), "headers": _RETRY},
        },
    }


def _ping() -> dict[str, Any]:
    answer = {
        "operationId": "influx_ping",
        "summary": "Answer a client of InfluxDB that asks if anybody is there",
        "tags": ["telemetry"],
        "security": [],
        "responses": {"204": {"description": "Somebody is."}},
    }
    return {"get": answer}


_TOKEN = {
    "name": "token",
    "in": "path",
    "required": True,
    "description": "The token of a device; masked in our logs. A factory can switch it off.",
    "schema": {"type": "string"},
}
_REFUSED = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}


def _things_answers(ok: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": ok,
        "400": {"description": "Something was not stored; it is named.", "content": _REFUSED},
        "401": {"description": "The token is not valid here.", "content": _REFUSED},
        "413": {"description": "Too large.", "content": _REFUSED},
        "429": {"description": "Too fast.", "content": _REFUSED, "headers": _RETRY},
        "503": {"description": "Not stored; again.", "content": _REFUSED, "headers": _RETRY},
    }


def _things_telemetry() -> dict[str, Any]:
    flat = {"temperature": 21.5, "door_open": False}
    timed = {"ts": 1763376127000, "values": flat}
    return {
        "operationId": "things_telemetry",
        "summary": "Send readings as to ThingsBoard",
        "tags": ["telemetry"],
        "security": [],
        "parameters": [_TOKEN],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"oneOf": [{"type": "object"}, {"type": "array"}]},
                    "examples": {
                        "flat": {"summary": "Values of now", "value": flat},
                        "timed": {"summary": "Values of a time", "value": timed},
                        "many": {"summary": "A list of either", "value": [timed, flat]},
                    },
                }
            },
        },
        "responses": _things_answers({"description": "All of it is stored."}),
    }


def _things_attributes() -> dict[str, Any]:
    sent = {"firmware": "1.2.3", "port": 502}
    schema = {"type": "object", "additionalProperties": True}
    found = {"application/json": {"schema": schema, "example": {"client": sent}}}
    common: dict[str, Any] = {"tags": ["telemetry"], "security": []}
    keys = _query("clientKeys", "Names, by commas; left out: all.")
    return {
        "post": {
            **common,
            "operationId": "things_attributes_send",
            "summary": "Say something of the device itself, as to ThingsBoard",
            "description": f"At most {limits.MAX_ATTRIBUTES_PER_DEVICE} attributes of "
            f"{limits.MAX_ATTRIBUTE_BYTES} bytes of JSON.",
            "parameters": [_TOKEN],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": schema, "example": sent}},
            },
            "responses": _things_answers({"description": "They are kept."}),
        },
        "get": {
            **common,
            "operationId": "things_attributes",
            "summary": "Return what the device said of itself",
            "parameters": [_TOKEN, keys, _query("sharedKeys", "There are none to share.")],
            "responses": _things_answers({"description": "By name.", "content": found}),
        },
    }


def add(result: dict[str, Any]) -> None:
    """Write these ways in into the document."""
    result["components"]["schemas"].update(_SCHEMAS)
    result["components"]["securitySchemes"]["influxToken"] = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Token takt_dev_...`, as InfluxDB's clients send it.",
    }
    result["paths"] |= {
        "/api/v2/write": {"post": _write(2)},
        "/write": {"post": _write(1)},
        "/ping": _ping(),
        "/api/v2/ping": {"get": {**_ping()["get"], "operationId": "influx_ping_v2"}},
        "/api/v1/{token}/telemetry": {"post": _things_telemetry()},
        "/api/v1/{token}/attributes": _things_attributes(),
    }
