"""Stripe's published description as a judge of every request and every answer.

A request with a field that Stripe does not know, or of another type, fails; so does an answer
that lacks a required field, has one too many, or one of another type.
"""

import gzip
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import requests

from billing.sandbox.forms import unfold

ROOT = Path(__file__).resolve().parents[2]
FORM = "application/x-www-form-urlencoded"


def description_path() -> Path:
    data = Path(os.environ.get("TAKT_DATA") or ROOT / ".." / "shared" / "data")
    return data / "stripe_openapi" / "stripe_pruned.json.gz"


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

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """Return the operation of a path; one without placeholders goes before one with them."""
        parts = path.strip("/").split("/")
        found = []
        for template, methods in self._paths.items():
            pattern = template.strip("/").split("/")
            if len(pattern) == len(parts) and all(
                p.startswith("{") or p == part for p, part in zip(pattern, parts, strict=True)
            ):
                found.append((template.count("{"), methods))
        for _, methods in sorted(found, key=lambda f: f[0]):
            if method.lower() in methods:
                operation: dict[str, Any] = methods[method.lower()]
                return operation
        raise ContractBroken(f"Stripe has no {method} {path}")

    def check_request(self, method: str, path: str, query: str, body: str) -> None:
        operation = self.operation(method, path)
        if method == "POST":
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
        many = [self.collapsed(item, rest) if rest else item for item in many]
        if first != "data":
            many = [self._id_of(item) for item in many]
        return {**body, first: many if isinstance(value, list) else many[0]}

    def _id_of(self, item: Any) -> Any:
        if not isinstance(item, dict) or "id" not in item:
            return item
        self._check_schema({"$ref": f"#/components/schemas/{item['object']}"}, item, "expanded")
        return item["id"]

    def check_answer(self, method: str, path: str, status: int, body: Any) -> None:
        responses = self.operation(method, path)["responses"]
        answer = responses.get(str(status), responses["default"])
        schema = _as_json_schema(answer["content"]["application/json"]["schema"])
        self._check_schema(schema, body, f"{method} {path} answers {status}")

    def _check_schema(self, schema: dict[str, Any], body: Any, what: str) -> None:
        validator = jsonschema.Draft7Validator({**schema, **self._answers})
        error = next(validator.iter_errors(body), None)
        if error is not None:
            best = jsonschema.exceptions.best_match([error]) or error
            where = "/".join(map(str, best.absolute_path))
            raise ContractBroken(f"{what}: at {where}: {best.message}")


def _expansions(encoded: str) -> set[str]:
    """Return the paths that a request asks to expand, each with all that lies above it."""
    wanted = unfold(encoded).get("expand", {})
    paths = wanted.values() if isinstance(wanted, dict) else []
    found = set()
    for path in paths:
        parts = str(path).split(".")
        found |= {".".join(parts[: n + 1]) for n in range(len(parts))}
    return found - {"data"}


class CheckedSession(requests.Session):
    """A session that holds every call, both ways, against the contract.

    `before` may stand in for the network: it is called with each request first, and raises.
    """

    def __init__(self, contract: Contract | None) -> None:
        super().__init__()
        self.trust_env = False
        self.contract = contract
        self.calls: list[tuple[str, str]] = []
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.after: Callable[[str, str], None] = lambda _method, _path: None

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        method, parts = str(method).upper(), urlsplit(str(url))
        self.before(method, parts.path)
        if self.contract is not None:
            body = kwargs.get("data") or ""
            text = body.decode() if isinstance(body, bytes) else str(body)
            self.contract.check_request(method, parts.path, parts.query, text)
        self.calls.append((method, parts.path))
        answer = super().request(method, url, *args, **kwargs)
        if self.contract is not None:
            told = answer.json()
            for expansion in sorted(_expansions(text or parts.query), key=len, reverse=True):
                told = self.contract.collapsed(told, expansion)
            self.contract.check_answer(method, parts.path, answer.status_code, told)
        self.after(method, parts.path)
        return answer
