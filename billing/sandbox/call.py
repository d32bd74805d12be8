"""What a handler is given: the store, the parameters, the clock, and the common ways to answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from billing.sandbox.errors import ApiError, missing
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, Store

API_VERSION = "2026-08-26.dahlia"

KIND_OF_PREFIX = {
    "cus": "customer", "prod": "product", "price": "price", "mtr": "billing.meter",
    "sub": "subscription", "in": "invoice", "ii": "invoiceitem", "pm": "payment_method",
    "cs": "checkout.session", "bps": "billing_portal.session", "evt": "event",
    "we": "webhook_endpoint", "clock": "test_helpers.test_clock",
}  # fmt: skip


@dataclass
class Call:
    """One API call, or one tick of the clock, inside the store's transaction."""

    store: Store
    params: Params
    base_url: str
    path: dict[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    request_id: str | None = None

    def now(self, owner: Object | None = None) -> int:
        """Return the time of the object's test clock, or the real time where it has none."""
        clock_id = owner.get("test_clock") if owner else None
        if clock_id:
            clock = self.store.find("test_helpers.test_clock", clock_id)
            if clock is not None:
                return int(clock["frozen_time"])
        return int(time.time())

    def get(self, kind: str, object_id: str, *, param: str = "id", status: int = 404) -> Object:
        found = self.store.find(kind, object_id)
        if found is None:
            raise missing(kind.rsplit(".", 1)[-1], object_id, param=param, status=status)
        return found

    def named(self, kind: str, param: str) -> Object:
        """Return the object that a required parameter names."""
        return self.get(kind, self.params.required(param), param=param, status=400)

    def page(self, objects: list[Object], *, url: str) -> Object:
        """Return one page of a newest-first list (limit, starting_after, ending_before)."""
        limit = self.params.integer("limit", 10) or 10
        if not 1 <= limit <= 100:
            raise ApiError("Invalid integer: limit must be between 1 and 100", param="limit")
        after, before = self.params.text("starting_after"), self.params.text("ending_before")
        self.params.done()
        ids = [o["id"] for o in objects]
        for name, value in (("starting_after", after), ("ending_before", before)):
            if value is not None and value not in ids:
                raise missing("object", value, param=name, status=400)
        if after is not None:
            objects = objects[ids.index(after) + 1 :]
            data, has_more = objects[:limit], len(objects) > limit
        elif before is not None:
            objects = objects[: ids.index(before)]
            data, has_more = objects[-limit:], len(objects) > limit
        else:
            data, has_more = objects[:limit], len(objects) > limit
        return listing([public(o) for o in data], url=url, has_more=has_more)


Handler = Callable[[Call], Object]


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    handler: Handler


def listing(data: list[Any], *, url: str, has_more: bool = False) -> Object:
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def public(body: Object) -> Object:
    """Return an object without what the stand-in keeps for itself (keys that start with `_`)."""
    return {key: _public(value) for key, value in body.items() if not key.startswith("_")}


def _public(value: Any) -> Any:
    if isinstance(value, dict):
        return public(value)
    return [_public(item) for item in value] if isinstance(value, list) else value


def merge_metadata(current: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """Return metadata after a change; an empty value removes its key."""
    merged = {**current, **(change or {})}
    return {k: v for k, v in merged.items() if v != ""}
