"""Put objects where an answer has only their ids (docs.stripe.com/expand)."""

from typing import Any

from billing.sandbox.call import listing, public
from billing.sandbox.errors import ApiError
from billing.sandbox.store import Object, Store

DEEPEST = 4


def expanded(store: Store, body: Object, paths: list[str]) -> Object:
    """Return an answer, public, with each of the paths (`customer`, `data.discounts`) expanded.

    Raises:
        ApiError: a path that the answer does not have.
    """
    for path in paths:
        parts = path.split(".")
        if len(parts) > DEEPEST + (parts[0] == "data"):
            raise ApiError("You cannot expand more than 4 levels of a property.", param="expand[]")
        body = _at(store, body, parts)
    return public(body)


def _at(store: Store, node: Any, parts: list[str]) -> Any:
    if isinstance(node, list):
        return [_at(store, item, parts) for item in node]
    if isinstance(node, str):
        node = store.lookup(node) or node
    if not parts or node is None:
        return node
    if isinstance(node, dict) and parts == ["payments"] and node.get("object") == "invoice":
        # Not there unless it is asked for.
        kept = node.get("_payments") or []
        return {**node, "payments": listing(kept, url=f"/v1/invoices/{node['id']}/payments")}
    if isinstance(node, dict) and parts == ["applies_to"] and node.get("object") == "coupon":
        # Nor this, and never where it applies to everything.
        products = node["_products"]
        return {**node, "applies_to": {"products": products}} if products else node
    if not isinstance(node, dict) or parts[0] not in node:
        raise ApiError(f"This property cannot be expanded ({parts[0]}).", param="expand[]")
    return {**node, parts[0]: _at(store, node[parts[0]], parts[1:])}
