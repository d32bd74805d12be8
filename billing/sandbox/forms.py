"""Unfold form-encoded bodies with nested keys and read them strictly.

`items[0][price]=p&metadata[a]=b` becomes
`{"items": {"0": {"price": "p"}}, "metadata": {"a": "b"}}`.
A parameter that nobody read is refused as unknown, as Stripe does.
"""

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from billing.sandbox.errors import ApiError

_KEY = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")
_PART = re.compile(r"\[([^\[\]]*)\]")


def unfold(encoded: str) -> dict[str, Any]:
    """Return the nested mapping of an encoded body or query."""
    root: dict[str, Any] = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True):
        match = _KEY.match(key)
        if match is None:
            raise ApiError(f"Invalid parameter name: {key}", param=key)
        parts = [match.group(1), *_PART.findall(match.group(2))]
        node = root
        for part in parts[:-1]:
            node = node.setdefault(part or str(len(node)), {})
            if not isinstance(node, dict):
                raise ApiError(f"Invalid {parts[0]}", param=parts[0])
        node[parts[-1] or str(len(node))] = value
    return root


class Params:
    """The parameters of one call; reading one takes it out, so that `done` sees what is unknown."""

    def __init__(self, values: dict[str, Any], *, prefix: str = "") -> None:
        self._values = dict(values)
        self._prefix = prefix
        self._children: list[Params] = []

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def put(self, key: str, value: str) -> None:
        """Add a parameter that the path of the call says."""
        self._values[key] = value

    def keys(self) -> set[str]:
        """Return the names of what was not read yet."""
        return set(self._values)

    def peek(self, key: str) -> object:
        return self._values.get(key)

    def is_plain(self, key: str) -> bool:
        """Say whether a parameter is a text, not a mapping or a list."""
        return isinstance(self._values.get(key), str)

    def _name(self, key: str) -> str:
        return f"{self._prefix}[{key}]" if self._prefix else key

    def text(self, key: str) -> str | None:
        value = self._values.pop(key, None)
        if value is not None and not isinstance(value, str):
            raise ApiError(f"Invalid string: {self._name(key)}", param=self._name(key))
        return value

    def required(self, key: str) -> str:
        value = self.text(key)
        if not value:
            name = self._name(key)
            raise ApiError(f"Missing required param: {name}.", code="parameter_missing", param=name)
        return value

    def choice(self, key: str, options: Iterable[str], default: str) -> str:
        value = self.text(key) or default
        if value not in options:
            name = self._name(key)
            raise ApiError(f"Invalid {name}: must be one of {', '.join(options)}", param=name)
        return value

    def integer(self, key: str, default: int | None = None) -> int | None:
        value = self.text(key)
        if value in (None, ""):
            return default
        try:
            return int(value)
        except ValueError:
            name = self._name(key)
            raise ApiError(
                f"Invalid integer: {value}", code="parameter_invalid_integer", param=name
            ) from None

    def boolean(self, key: str, default: bool = False) -> bool:
        value = self.text(key)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise ApiError(f"Invalid boolean: {value}", param=self._name(key))
        return value == "true"

    def decimal(self, key: str) -> Decimal | None:
        value = self.text(key)
        if value in (None, ""):
            return None
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            raise ApiError(f"Invalid decimal: {value}", param=self._name(key))
        return number

    def child(self, key: str) -> "Params":
        value = self._values.pop(key, {})
        if value == "":
            value = {}
        if not isinstance(value, dict):
            raise ApiError(f"Invalid object: {self._name(key)}", param=self._name(key))
        child = Params(value, prefix=self._name(key))
        self._children.append(child)
        return child

    def children(self, key: str) -> list["Params"]:
        value = self._values.pop(key, {})
        if value == "":
            value = {}
        if not isinstance(value, dict) or any(not isinstance(v, dict) for v in value.values()):
            raise ApiError(f"Invalid array: {self._name(key)}", param=self._name(key))
        found = [Params(v, prefix=f"{self._name(key)}[{i}]") for i, v in value.items()]
        self._children.extend(found)
        return found

    def texts(self, key: str) -> list[str]:
        value = self._values.pop(key, {})
        if value == "":
            return []
        return [str(v) for v in value.values()] if isinstance(value, dict) else [str(value)]

    def mapping(self, key: str) -> dict[str, str] | None:
        """Return a flat mapping such as metadata; None when absent."""
        if key not in self._values:
            return None
        value = self._values.pop(key)
        return {k: str(v) for k, v in value.items()} if isinstance(value, dict) else {}

    def take(self, key: str, known: Iterable[str]) -> dict[str, Any]:
        """Return an object as it was sent, to be read later, once its keys are known ones."""
        value = self._values.pop(key, {}) or {}
        unknown = sorted(set(value) - set(known)) if isinstance(value, dict) else [key]
        if unknown:
            name = f"{self._name(key)}[{unknown[0]}]"
            raise ApiError(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
        return dict(value)

    def mappings(self, key: str) -> dict[str, dict[str, str]]:
        """Return a mapping of flat mappings such as currency_options."""
        value = self._values.pop(key, {}) or {}
        if not isinstance(value, dict) or any(not isinstance(v, dict) for v in value.values()):
            raise ApiError(f"Invalid object: {self._name(key)}", param=self._name(key))
        return value

    def required_key(self, key: str) -> None:
        """Refuse a call that does not say this at all."""
        if key not in self:
            name = self._name(key)
            raise ApiError(f"Missing required param: {name}.", code="parameter_missing", param=name)

    def skip(self, *keys: str) -> None:
        """Accept parameters that change nothing here."""
        for key in keys:
            self._values.pop(key, None)

    def done(self) -> None:
        """Refuse what nobody read."""
        for child in self._children:
            child.done()
        for key in self._values:
            name = self._name(key)
            raise ApiError(
                f"Received unknown parameter: {name}", code="parameter_unknown", param=name
            )
