"""What a handler is given: the store, the parameters, the clock, and the common ways to answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from billing.sandbox.errors import ApiError, missing
from billing.sandbox.forms import Params
from billing.sandbox.store import Object, Store

API_VERSION = "2026-08-26.dahlia"


@dataclass
class Call:
    """One API call, or one tick of the clock, inside the store's transaction."""

    store: Store
    params: Params
    base_url: str
    path: dict[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    request_id: str | None = None
    # What is computed for a preview is taken back; money is not asked for.
    is_preview: bool = False

    def as_preview(self) -> "Call":
        """Return the same call as a preview, without parameters."""
        return replace(self, params=Params({}), is_preview=True)

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

    def page_of(
        self,
        kind: str,
        *,
        url: str,
        customer: str | None = None,
        keep: Callable[[Object], bool] = lambda _body: True,
        shown: Callable[[Object], Object] = lambda body: body,
    ) -> Object:
        """Return one page of the objects of a kind, newest first, without reading all of them."""
        p = self.params
        limit = p.integer("limit", 10) or 10
        if not 1 <= limit <= 100:
            raise ApiError("Invalid integer: limit must be between 1 and 100", param="limit")
        after, before = p.text("starting_after"), p.text("ending_before")
        p.done()
        for name, value in (("starting_after", after), ("ending_before", before)):
            if value is not None and self.store.find(kind, value) is None:
                raise missing(kind.rsplit(".", 1)[-1], value, param=name, status=400)
        found = self.store.scan(
            kind, customer=customer, beyond=after or before, newest_first=before is None
        )
        data = list(islice(filter(keep, found), limit + 1))
        page, has_more = data[:limit], len(data) > limit
        if before is not None:
            page.reverse()
        return listing([public(shown(o)) for o in page], url=url, has_more=has_more)

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


def created_filter(p: Params, name: str = "created") -> Callable[[Object], bool]:
    """Return a test for `created`, given as a moment or as gt, gte, lt, lte."""
    if name not in p:
        return lambda _body: True
    if p.is_plain(name):
        moment = p.integer(name)
        return lambda body: body["created"] == moment
    limits = p.child(name)
    after, since = limits.integer("gt"), limits.integer("gte")
    before, until = limits.integer("lt"), limits.integer("lte")

    def within(body: Object) -> bool:
        at: int = body["created"]
        return (
            (after is None or at > after) and (since is None or at >= since)
            and (before is None or at < before) and (until is None or at <= until)
        )  # fmt: skip

    return within


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
