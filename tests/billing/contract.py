"""Stripe's published description as a judge of every request and every answer.

A request with a field that Stripe does not know, or of another type, fails; so does an answer
that lacks a required field, has one too many, or one of another type.
"""

import gzip
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import jsonschema
import jsonschema_rs
import requests

from billing.sandbox.forms import unfold

ROOT = Path(__file__).resolve().parents[2]
FORM = "application/x-www-form-urlencoded"


def description_path() -> Path:
    data = Path(os.environ.get("TAKT_DATA") or ROOT / ".." / "shared" / "data")
    return data / "stripe_openapi" / "stripe_pruned.json.gz"


_TEXT = {"type": "string"}
_TIME = {"type": "string", "format": "date-time"}
_USAGE = {
    "type": "object",
    "properties": {
        "event_name": {"type": "string", "minLength": 1, "maxLength": 100},
        "identifier": {"type": "string", "minLength": 1, "maxLength": 100},
        "payload": {"type": "object", "additionalProperties": _TEXT},
        "timestamp": _TIME,
    },
    "required": ["event_name", "payload"],
    "additionalProperties": False,
}
_SESSION = {
    "type": "object",
    "properties": {
        "id": _TEXT, "object": {"const": "v2.billing.meter_event_session"},
        "authentication_token": _TEXT, "created": _TIME, "expires_at": _TIME,
        "livemode": {"type": "boolean"},
    },
    "required": ["id", "object", "authentication_token", "created", "expires_at", "livemode"],
    "additionalProperties": False,
}  # fmt: skip
_USAGES = {"type": "array", "items": _USAGE, "minItems": 1, "maxItems": 100}
# Stripe's OpenAPI document leaves API v2 out; this is what its pages say of the calls made here:
# docs.stripe.com/api/v2/billing-meter-stream. Path -> schema of the request, of the answer.
V2: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/v2/billing/meter_event_session": ({"type": "object", "maxProperties": 0}, _SESSION),
    "/v2/billing/meter_event_stream": (
        {
            "type": "object", "properties": {"events": _USAGES}, "required": ["events"],
            "additionalProperties": False,
        },
        {"type": "object", "maxProperties": 0},
    ),
}  # fmt: skip


class ContractBroken(AssertionError):
    """A request or an answer is not as Stripe describes it."""


@cache
def load() -> "Contract":
    with gzip.open(description_path()) as file:
        return Contract(json.load(file))


def _as_json_schema(node: Any) -> Any:
    """Turn OpenAPI 3.0 into JSON Schema: `nullable` becomes a union, known objects are closed."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {k: _as_json_schema(v) for k, v in node.items() if k != "nullable"}
    if node.get("properties") and "additionalProperties" not in node:
        converted["additionalProperties"] = False
    if node.get("nullable"):
        return {"anyOf": [converted, {"type": "null"}]}
    return converted


class Contract:
    """Finds the operation of a call and holds body, query and answer against it."""

    def __init__(self, description: dict[str, Any]) -> None:
        self.version: str = description["info"]["version"]
        self._paths = description["paths"]
        self._schemas = description["components"]["schemas"]
        self._answers = {
            "components": {"schemas": {k: _as_json_schema(v) for k, v in self._schemas.items()}}
        }
        self._templates = _by_length(self._paths)
        # Compiled once: there are a few dozen shapes and tens of thousands of answers.
        self._judges: dict[str, _Judge] = {}

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """Return the operation of a path; one without placeholders goes before one with them."""
        return self._operation(method, path)[1]

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        parts = path.strip("/").split("/")
        for template, pattern in self._templates.get(len(parts), ()):
            if all(p is None or p == part for p, part in zip(pattern, parts, strict=True)):
                operation = self._paths[template].get(method.lower())
                if operation is not None:
                    return template, operation
        raise ContractBroken(f"Stripe has no {method} {path}")

    def check_request(self, method: str, path: str, query: str, body: str) -> None:
        operation = self.operation(method, path)
        if method == "DELETE":
            # The description has the parameters in a body; libraries send them in the address.
            body, query = f"{body}&{query}".strip("&"), ""
        if method in ("POST", "DELETE"):
            schema = operation["requestBody"]["content"][FORM]["schema"]
            self._check_value(unfold(body), schema, f"{method} {path}")
        known = {
            p["name"].removesuffix("[]"): p["schema"]
            for p in operation.get("parameters", [])
            if p["in"] == "query"
        }
        for name, value in unfold(query).items():
            if name not in known:
                raise ContractBroken(f"{method} {path}: unknown query parameter {name}")
            self._check_value(value, known[name], f"{method} {path}?{name}")

    def _check_value(self, value: Any, schema: dict[str, Any], where: str) -> None:
        """Check a form value, in which everything is text, against the schema of what it means."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rsplit("/", 1)[-1]]
        if "anyOf" in schema:
            errors = []
            for option in schema["anyOf"]:
                try:
                    return self._check_value(value, option, where)
                except ContractBroken as error:
                    errors.append(str(error))
            raise ContractBroken(f"{where}: fits nothing of {errors}")
        kind = schema.get("type")
        if kind == "object":
            return self._check_object(value, schema, where)
        if kind == "array":
            if not isinstance(value, dict) or any(not k.isdigit() for k in value):
                raise ContractBroken(f"{where}: expected a list")
            for index, item in value.items():
                self._check_value(item, schema["items"], f"{where}[{index}]")
            return None
        return self._check_scalar(value, schema, where)

    def _check_object(self, value: Any, schema: dict[str, Any], where: str) -> None:
        if not isinstance(value, dict):
            raise ContractBroken(f"{where}: expected an object, found {value!r}")
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name in schema.get("required", []):
            if name not in value:
                raise ContractBroken(f"{where}: {name} is missing")
        for name, item in value.items():
            inner = properties.get(name, others if isinstance(others, dict) else None)
            if inner is None:
                raise ContractBroken(f"{where}: unknown field {name}")
            self._check_value(item, inner, f"{where}[{name}]")

    def _check_scalar(self, value: Any, schema: dict[str, Any], where: str) -> None:
        kind, allowed = schema.get("type"), schema.get("enum")
        if not isinstance(value, str):
            raise ContractBroken(f"{where}: expected {kind}, found {value!r}")
        is_number = value.lstrip("-").isdigit()
        if kind == "integer" and not is_number:
            raise ContractBroken(f"{where}: expected an integer, found {value!r}")
        if kind == "boolean" and value not in ("true", "false"):
            raise ContractBroken(f"{where}: expected a boolean, found {value!r}")
        if allowed and value not in allowed:
            raise ContractBroken(f"{where}: {value!r} is none of {allowed}")
        if len(value) > schema.get("maxLength", len(value)):
            raise ContractBroken(f"{where}: longer than {schema['maxLength']}")

    def collapsed(self, body: Any, path: str) -> Any:
        """Return an answer with ids again where objects were put in by `expand[]`.

        The description knows ids only, so each object is held against its own description here.
        """
        first, _, rest = path.partition(".")
        value = body.get(first) if isinstance(body, dict) else None
        if value is None:
            return body
        many = value if isinstance(value, list) else [value]
        many = [self.collapsed(item, rest) if rest else self._id_of(item) for item in many]
        return {**body, first: many if isinstance(value, list) else many[0]}

    def _id_of(self, item: Any) -> Any:
        if not isinstance(item, dict) or "id" not in item:
            return item
        kind = item["object"]
        self._check_schema(kind, {"$ref": f"#/components/schemas/{kind}"}, item, "expanded")
        return item["id"]

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        template, operation = self._operation(method, path)
        responses = operation["responses"]
        code = str(status) if str(status) in responses else "default"
        schema = responses[code]["content"]["application/json"]["schema"]
        what = f"{method} {path} answers {status}"
        self._check_schema(f"{method} {template} {code}", schema, body, what)

    def _check_schema(self, name: str, schema: dict[str, Any], body: Any, what: str) -> None:
        """Hold a body against the schema that `name` stands for."""
        judge = self._judges.get(name)
        if judge is None:
            judge = self._judges[name] = _Judge({**_as_json_schema(schema), **self._answers})
        if fault := judge.fault(body):
            raise ContractBroken(f"{what}: {fault}")


def _by_length(paths: Iterable[str]) -> dict[int, list[tuple[str, list[str | None]]]]:
    """Return the templates by their number of parts, those without placeholders first.

    Each comes with its parts, in which None stands for a placeholder.
    """
    found = defaultdict(list)
    for template in sorted(paths, key=lambda path: path.count("{")):
        parts = template.strip("/").split("/")
        pattern = [None if part.startswith("{") else part for part in parts]
        found[len(parts)].append((template, pattern))
    return dict(found)


class _Judge:
    """One compiled schema: the quick one decides, the other one finds the words."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._quick = jsonschema_rs.Draft7Validator(schema, validate_formats=False)
        self._wordy = jsonschema.Draft7Validator(schema)

    def fault(self, body: Any) -> str:
        """Say where a body is wrong and how; empty where it is right."""
        if self._quick.is_valid(body):
            return ""
        error = next(self._wordy.iter_errors(body), None)
        if error is None:
            return "one of two validators refuses it"
        best = jsonschema.exceptions.best_match([error]) or error
        return f"at {'/'.join(map(str, best.absolute_path))}: {best.message}"


def _expansions(encoded: str) -> list[str]:
    """Return the paths that a request expands, each after those that lie below it."""
    wanted = unfold(encoded).get("expand", {})
    paths = wanted.values() if isinstance(wanted, dict) else []
    found = set()
    for path in paths:
        parts = str(path).split(".")
        found |= {".".join(parts[: n + 1]) for n in range(len(parts))}
    return sorted(found - {"data"}, key=lambda path: path.count("."), reverse=True)


class CheckedSession(requests.Session):
    """A session that holds every call, both ways, against the contract.

    `before` may stand in for the network: it is called with each request first, and raises.
    """

    def __init__(self, contract: Contract | None) -> None:
        super().__init__()
        self.trust_env = False
        self.contract = contract
        self.calls: list[tuple[str, str]] = []
        self._right: set[tuple[str, str, int, bytes]] = set()
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        method, parts = str(method).upper(), urlsplit(str(url))
        self.before(method, parts.path)
        body = kwargs.get("data") or ""
        text = body.decode() if isinstance(body, bytes) else str(body)
        if parts.path in V2:
            _check_v2(V2[parts.path][0], json.loads(text or "{}"), parts.path)
        elif self.contract is not None:
            self.contract.check_request(method, parts.path, parts.query, text)
        self.calls.append((method, parts.path))
        answer = super().request(method, url, *args, **kwargs)
        if parts.path in V2:
            if answer.ok:
                _check_v2(V2[parts.path][1], answer.json(), parts.path)
        elif self.contract is not None:
            self._check_answer(self.contract, method, str(url), text, answer)
        self.after(method, parts.path)
        return answer

    def _check_answer(
        self, contract: Contract, method: str, url: str, text: str, answer: requests.Response
    ) -> None:
        """Hold an answer against the contract; the very same one is right again."""
        seen = (method, f"{url} {text}", answer.status_code, answer.content)
        if seen in self._right:
            return
        parts, told = urlsplit(url), answer.json()
        for expansion in _expansions(text or parts.query):
            told = contract.collapsed(told, expansion)
        contract.check_answer(method, parts.path, answer.status_code, told)
        self._right.add(seen)


def _check_v2(schema: dict[str, Any], body: Any, where: str) -> None:
    error = next(jsonschema.Draft7Validator(schema).iter_errors(body), None)
    if error is not None:
        raise ContractBroken(f"{where}: {error.message}")


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the form fields of nested values: `items[0][price]`, `metadata[a]`."""
    for key, value in values.items():
        name = f"{prefix}[{key}]" if prefix else key
        if isinstance(value, list):
            value = {str(n): entry for n, entry in enumerate(value)}
        if isinstance(value, dict):
            yield from _flat(value, name)
        elif isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, datetime):
            yield name, str(int(value.timestamp()))
        elif value is not None:
            yield name, str(value)


class Refused(Exception):
    """The API answered with an error, as Stripe words it."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.status = status
        self.code = error.get("code")
        self.error = error


class CheckedApi:
    """Plain calls of the API, each held against the contract; answers as plain objects."""

    def __init__(self, session: CheckedSession, url: str, key: str) -> None:
        self._session, self._url, self._key = session, url, key

    def _call(self, method: str, path: str, query: str, body: str, key: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": FORM}
        if key:
            headers["Idempotency-Key"] = key
        url = f"{self._url}{path}?{query}" if query else f"{self._url}{path}"
        answer = self._session.request(method, url, data=body, headers=headers, timeout=30)
        told = answer.json()
        if not answer.ok:
            raise Refused(answer.status_code, told["error"])
        return told

    def post(self, path: str, *, key: str | None = None, **values: Any) -> Any:
        return self._call("POST", path, "", urlencode(list(_flat(values))), key)

    def get(self, path: str, **values: Any) -> Any:
        return self._call("GET", path, urlencode(list(_flat(values))), "", None)

    def delete(self, path: str, **values: Any) -> Any:
        return self._call("DELETE", path, urlencode(list(_flat(values))), "", None)
