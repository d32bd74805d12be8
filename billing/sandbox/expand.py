"""Put objects where an answer has only their ids (docs.stripe.com/expand)."""

from typing import Any

from billing.sandbox.call import public
from billing.sandbox.errors import ApiError
from billing.sandbox.store import Object, Store

DEEPEST = 4


def expanded(store: Store, body: Object, paths: list[str]) -> Object:
    """Return an answer with each of the paths (`customer`, `data.discounts`) expanded.

    Raises:
        ApiError: a path that the answer does not have.
    """
    for path in paths:
        parts = path.split(".")
        if len(parts) > DEEPEST + (parts[0] == "data"):
            raise ApiError("You cannot expand more than 4 levels of a property.", param="expand[]")
        body = _at(store, body, parts, path)
    return body


def _at(store: Store, node: Any, parts: list[str], path: str) -> Any:
    if isinstance(node, list):
        return [_at(store, item, parts, path) for item in node]
    if isinstance(node, str):
        found = store.lookup(node)
        node = node if found is None else public(found)
    if not parts or node is None:
        return node
    if not isinstance(node, dict) or parts[0] not in node:
        raise ApiError(
            f"This property cannot be expanded ({parts[0]}). You may want to try expanding "
            f"'{path}' instead.", param="expand[]",
        )  # fmt: skip
    return {**node, parts[0]: _at(store, node[parts[0]], parts[1:], path)}
