"""The HTTP side: authentication, idempotency, dispatch, pages, and the loop that time runs in."""

import asyncio
import hashlib
import hmac
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from billing.sandbox import (
    catalogue,
    clocks,
    customers,
    events,
    hosted,
    invoice_api,
    metering,
    subscriptions,
)  # fmt: skip
from billing.sandbox.call import API_VERSION, Call, Route, public
from billing.sandbox.errors import ApiError
from billing.sandbox.expand import expanded
from billing.sandbox.forms import Params, unfold
from billing.sandbox.store import Store, new_id

log = logging.getLogger("billing.sandbox")

ROUTES = [
    *catalogue.ROUTES, *customers.ROUTES, *metering.ROUTES, *subscriptions.ROUTES,
    *invoice_api.ROUTES, *clocks.ROUTES, *events.ROUTES, *hosted.ROUTES,
]  # fmt: skip
KEEP_KEYS_S = 24 * 3600
TICK_S = 0.25


@dataclass(frozen=True)
class Settings:
    data_dir: Path
    base_url: str
    api_key: str
    webhook_url: str | None = None
    webhook_secret: str | None = None
    webhook_ca: Path | None = None


def create_app(settings: Settings) -> Starlette:
    """Return the stand-in as an ASGI application over the state in `settings.data_dir`."""
    store = Store(settings.data_dir)
    trusted = ssl.create_default_context(cafile=settings.webhook_ca)
    _first_endpoint(store, settings)
    api = _Api(store, settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.create_task(_run(store, settings, trusted))
        yield
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        store.close()

    by_path: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, {})[route.method] = route
    # A fixed path goes before one with a placeholder: /invoices/create_preview, /invoices/{id}.
    paths = sorted(by_path, key=lambda path: path.count("{"))
    return Starlette(
        lifespan=lifespan,
        routes=[
            HttpRoute("/health", _health),
            *(HttpRoute(p, api.endpoint(by_path[p]), methods=list(by_path[p])) for p in paths),
            HttpRoute("/_sandbox/switches", api.switches, methods=["GET", "POST"]),
            HttpRoute("/_sandbox/deliveries", api.deliveries),
            HttpRoute("/_pages/{page}/{id}", api.page, methods=["GET", "POST"]),
            HttpRoute("/{rest:path}", api.unknown, methods=["GET", "POST", "DELETE"]),
        ],
    )


def _first_endpoint(store: Store, settings: Settings) -> None:
    """Register the endpoint given on the command line, or bring it up to date."""
    if not settings.webhook_url or not settings.webhook_secret:
        return
    with store.transaction():
        for known in store.all("webhook_endpoint"):
            if known.get("_built_in"):
                store.delete(known["id"])
        body = events.endpoint(
            url=settings.webhook_url, events=["*"], secret=settings.webhook_secret
        )
        store.insert("webhook_endpoint", {**body, "_built_in": True})


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok", "api_version": API_VERSION})


async def _run(store: Store, settings: Settings, trusted: ssl.SSLContext) -> None:
    """Let time pass and deliver events, until cancelled."""
    with httpx.Client(timeout=10, verify=trusted) as client:
        while True:
            try:
                await run_in_threadpool(_pass_time, store, settings)
                await run_in_threadpool(events.deliver_due, store, client)
            except Exception:
                # The loop must go on: one spoiled object must not stop all deliveries.
                log.exception("billing.sandbox.loop.failed")
            await asyncio.sleep(TICK_S)


def _pass_time(store: Store, settings: Settings) -> None:
    with store.transaction():
        call = Call(store, Params({}), settings.base_url)
        clocks.tick(call, clock=None, until=int(time.time()))


def _fingerprint(request: Request, body: str) -> str:
    return hashlib.sha256(f"{request.url.path}?{body}".encode()).hexdigest()


class _Api:
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings

    def endpoint(self, routes: dict[str, Route]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            body = (await request.body()).decode() if method != "GET" else ""
            query = request.url.query
            return await run_in_threadpool(self._answer, routes[method], request, body, query or "")

        return answer

    def _answer(self, route: Route, request: Request, body: str, query: str) -> Response:
        request_id = new_id("req", length=14)
        key = request.headers.get("idempotency-key") if route.method == "POST" else None
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key:
            headers["Idempotency-Key"] = key
        try:
            self._authorise(request)
            # One transaction: of two calls with one key at once, the second is a replay.
            with self.store.transaction():
                fingerprint = _fingerprint(request, body)
                replay = self._replay(key, fingerprint)
                if replay is not None:
                    status, text = replay
                    headers["Idempotent-Replayed"] = "true"
                else:
                    status, text = self._perform(route, request, body or query, key, request_id)
                    self._remember(key, fingerprint, status, text)
        except ApiError as refusal:
            # Nothing was done, so nothing is kept under the key either.
            status, text = refusal.status, json.dumps(refusal.body())
        if status == 400:
            headers["Stripe-Should-Retry"] = "false"
        return Response(text, status, headers, "application/json")

    def _authorise(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError("You did not provide an API key.", status=401)
        if not hmac.compare_digest(token.encode(), self.settings.api_key.encode()):
            raise ApiError("Invalid API Key provided.", status=401)

    def _replay(self, key: str | None, fingerprint: str) -> tuple[int, str] | None:
        """Return the answer a key was given before; refuse a key used for something else."""
        if key is None:
            return None
        rows = self.store.run(
            "SELECT request, status, body FROM idempotency WHERE key = ? AND created > ?",
            key, int(time.time()) - KEEP_KEYS_S,
        )  # fmt: skip
        if not rows:
            return None
        if rows[0][0] != fingerprint:
            raise ApiError(
                f"Keys for idempotent requests can only be used with the same parameters they "
                f"were first used with. Try using a key other than '{key}' if you meant to "
                "execute a different request.",
                kind="idempotency_error",
            )
        return int(rows[0][1]), str(rows[0][2])

    def _perform(
        self, route: Route, request: Request, encoded: str, key: str | None, request_id: str
    ) -> tuple[int, str]:
        params = Params(unfold(encoded))
        paths = params.texts("expand")
        call = Call(
            self.store,
            params,
            self.settings.base_url,
            path={k: str(v) for k, v in request.path_params.items()},
            idempotency_key=key,
            request_id=request_id,
        )
        try:
            answer = expanded(self.store, public(route.handler(call)), paths)
            return 200, json.dumps(answer)
        except invoice_api.CardDeclinedError as refusal:
            return refusal.status, json.dumps(refusal.body())

    def _remember(self, key: str | None, fingerprint: str, status: int, text: str) -> None:
        if key is not None:
            self.store.run(
                "INSERT OR REPLACE INTO idempotency (key, request, status, body, created) "
                "VALUES (?, ?, ?, ?, ?)",
                key,
                fingerprint,
                status,
                text,
                int(time.time()),
            )

    async def switches(self, request: Request) -> Response:
        """Read or set how deliveries are spoiled."""
        if request.method == "POST":
            values = unfold((await request.body()).decode())
            for name, value in values.items():
                if name not in events.SWITCHES:
                    return JSONResponse({"error": f"unknown switch {name}"}, 400)
                self.store.set(f"switch.{name}", str(float(value)))
        return JSONResponse(events.switches(self.store))

    async def deliveries(self, _request: Request) -> Response:
        rows = self.store.run("SELECT state, COUNT(*) FROM delivery GROUP BY state")
        return JSONResponse({str(state): n for state, n in rows})

    async def page(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode()) if request.method == "POST" else {}
        return await run_in_threadpool(self._page, request, form)

    def _page(self, request: Request, form: dict[str, list[str]]) -> Response:
        kind, object_id = request.path_params["page"], request.path_params["id"]
        call = Call(self.store, Params({}), self.settings.base_url)
        try:
            with self.store.transaction():
                if kind == "checkout" and request.method == "POST":
                    card = form.get("card", ["pm_card_visa"])[0]
                    return RedirectResponse(hosted.complete_checkout(call, object_id, card), 303)
                pages = {
                    "checkout": hosted.checkout_page, "portal": hosted.portal_page,
                    "invoices": hosted.invoice_page,
                }  # fmt: skip
                if kind not in pages:
                    raise ApiError("No such page", status=404)
                return HTMLResponse(pages[kind](call, object_id))
        except ApiError as refusal:
            return JSONResponse(refusal.body(), refusal.status)

    async def unknown(self, request: Request) -> Response:
        refusal = ApiError(
            f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404
        )
        return JSONResponse(refusal.body(), 404)
