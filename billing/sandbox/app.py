"""The HTTP side: authentication, idempotency, limits, dispatch, pages, and the loop of time.

Idempotency: docs.stripe.com/api/idempotent_requests. Errors of a call that had begun to work (402)
are kept under its key, refusals of its parameters are not.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import random
import ssl
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from billing.sandbox import (
    balance,
    catalogue,
    checkout,
    clocks,
    credit_notes,
    customers,
    discounts,
    events,
    invoice_api,
    invoice_items,
    metering,
    pages,
    payments,
    portal,
    subscriptions,
    switches,
    taxes,
    usage_v2,
)  # fmt: skip
from billing.sandbox.call import API_VERSION, Call, Route, public
from billing.sandbox.errors import ApiError, KeptRefusal
from billing.sandbox.expand import expanded
from billing.sandbox.forms import Params, unfold
from billing.sandbox.store import Store, new_id
from billing.sandbox.upgrade import upgrade

log = logging.getLogger("billing.sandbox")

ROUTES: list[Route] = [
    route
    for module in (
        balance, catalogue, checkout, clocks, credit_notes, customers, discounts, events,
        invoice_api, invoice_items, metering, payments, portal, subscriptions, taxes,
    )
    for route in module.ROUTES
]  # fmt: skip
KEEP_KEYS_S = 24 * 3600
TICK_S = 0.25
METER_EVENTS = "/v1/billing/meter_events"


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
    store = Store(settings.data_dir, due_of=clocks.due_of)
    if store.is_outdated:
        with store.transaction():
            upgrade(store)
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
            HttpRoute("/v1/{kind}/search", api.unknown),  # or it would be taken for an id
            *(HttpRoute(p, api.endpoint(by_path[p]), methods=list(by_path[p])) for p in paths),
            *(
                HttpRoute(path, api.endpoint_v2(path, handler), methods=[method])
                for (method, path), handler in usage_v2.ROUTES.items()
            ),
            HttpRoute("/_sandbox/switches", api.switches, methods=["GET", "POST"]),
            HttpRoute("/_sandbox/deliveries", api.deliveries),
            HttpRoute("/_sandbox/events/{id}/resend", api.resend, methods=["POST"]),
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
        metering.report_errors(store)


def _fingerprint(request: Request, body: str) -> str:
    return hashlib.sha256(f"{request.url.path}?{body}".encode()).hexdigest()


class _InFlight:
    """What is being worked on right now, so that a second call for it can be turned away."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._names: set[str] = set()

    @contextmanager
    def only(self, name: str | None, refusal: Callable[[], ApiError]) -> Iterator[None]:
        """Hold a name while working; refuse where another call holds it."""
        if name is None:
            yield
            return
        with self._lock:
            if name in self._names:
                raise refusal()
            self._names.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._names.discard(name)


class _RateLimit:
    """A bucket that fills with `rate` calls a second (docs.stripe.com/rate-limits)."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._left, self._at = 0.0, 0.0

    def take(self, rate: float) -> bool:
        with self._lock:
            now = time.monotonic()
            self._left = min(rate, self._left + (now - self._at) * rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _key_in_use() -> ApiError:
    return ApiError(
        "There is currently another in-progress request using this Idempotent Key (that probably "
        "means you submitted twice, and the other request is still going through). Please try "
        "again later.", status=409, kind="idempotency_error", code="idempotency_key_in_use",
    )  # fmt: skip


def _locked() -> ApiError:
    """One call at a time for a customer and meter (docs.stripe.com/rate-limits)."""
    return ApiError(
        "This object cannot be accessed right now because another API request or Stripe process is "
        "currently accessing it. If you see this error intermittently, retry the request. If you "
        "see this error frequently and are making multiple concurrent requests to a single object, "
        "make your requests serially or at a lower rate. For more details, see "
        "https://stripe.com/docs/rate-limits#object-lock-timeouts.", status=429,
        code="lock_timeout",
    )  # fmt: skip


class _Api:
    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._keys, self._meters = _InFlight(), _InFlight()
        self._limit = _RateLimit()

    def endpoint(self, routes: dict[str, Route]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            body = (await request.body()).decode() if method != "GET" else ""
            query = request.url.query
            return await run_in_threadpool(self._answer, routes[method], request, body, query or "")

        return answer

    def _answer(self, route: Route, request: Request, body: str, query: str) -> Response:
        key = request.headers.get("idempotency-key") if route.method == "POST" else None

        def work(request_id: str, headers: dict[str, str]) -> tuple[int, str]:
            meter = _meter_of(body) if route.path == METER_EVENTS else None
            with self._keys.only(key, _key_in_use), self._meters.only(meter, _locked):
                self._spoil()
                return self._once(route, request, body or query, key, request_id, headers)

        return self._guarded(request, key, work)

    def _guarded(
        self,
        request: Request,
        key: str | None,
        work: Callable[[str, dict[str, str]], tuple[int, str]],
    ) -> Response:
        """Answer as Stripe does what `work` finds, spoiled as the switches say."""
        request_id = new_id("req", length=14)
        headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
        if key:
            headers["Idempotency-Key"] = key
        try:
            status, text = work(request_id, headers)
            if request.method == "POST" and self._chance("lose_answers"):
                raise ApiError("An unknown error occurred.", status=500, kind="api_error")
        except ApiError as refusal:
            # Nothing was done, so nothing is kept under the key either.
            status, text = refusal.status, json.dumps(refusal.body())
            if refusal.code == "rate_limit":
                headers["Stripe-Rate-Limited-Reason"] = "global-rate"
        if status >= 400:
            headers["Stripe-Should-Retry"] = "true" if status in (409, 429) else "false"
        if status >= 500:
            headers["Stripe-Should-Retry"] = "true"
        return Response(text, status, headers, "application/json")

    def _spoil(self) -> None:
        if self._chance("away"):
            raise ApiError(
                "Stripe is unavailable at the moment. Please try again later.",
                status=503, kind="api_error",
            )  # fmt: skip
        rate = switches.number(self.store, "rate_limit_per_s")
        if rate and not self._limit.take(rate):
            raise ApiError(
                "Request rate limit exceeded. Learn more about rate limits here "
                "https://stripe.com/docs/rate-limits.", status=429, code="rate_limit",
            )  # fmt: skip

    def _chance(self, switch: str) -> bool:
        share = switches.number(self.store, switch)
        return share > 0 and random.random() < share  # noqa: S311  chance, not secrecy

    def _once(
        self,
        route: Route,
        request: Request,
        encoded: str,
        key: str | None,
        request_id: str,
        headers: dict[str, str],
    ) -> tuple[int, str]:
        """Perform a call, or give the answer that its key was given before."""
        self._authorise(request)
        with self.store.transaction():
            fingerprint = _fingerprint(request, encoded)
            replay = self._replay(key, fingerprint)
            if replay is not None:
                headers["Idempotent-Replayed"] = "true"
                return replay
            status, text = self._perform(route, request, encoded, key, request_id)
            self._remember(key, fingerprint, status, text)
            return status, text

    def endpoint_v2(self, path: str, handler: usage_v2.V2Handler) -> Callable[[Request], Any]:
        """Return an endpoint of API v2: JSON in, JSON out; the stream has a token of its own."""

        async def answer(request: Request) -> Response:
            raw = await request.body()
            return await run_in_threadpool(self._answer_v2, path, handler, request, raw)

        return answer

    def _answer_v2(
        self, path: str, handler: usage_v2.V2Handler, request: Request, raw: bytes
    ) -> Response:
        key = request.headers.get("idempotency-key")

        def work(request_id: str, _headers: dict[str, str]) -> tuple[int, str]:
            call = Call(
                self.store, Params({}), self.settings.base_url,
                path={k: str(v) for k, v in request.path_params.items()},
                idempotency_key=key, request_id=request_id,
            )  # fmt: skip
            self._spoil()
            with self.store.transaction():
                if path.endswith("meter_event_stream"):
                    usage_v2.check_token(call, _token(request))
                else:
                    self._authorise(request)
                return 200, json.dumps(public(handler(call, _json_object(raw))))

        return self._guarded(request, key, work)

    def _authorise(self, request: Request) -> None:
        if not hmac.compare_digest(_token(request).encode(), self.settings.api_key.encode()):
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
            answer = expanded(self.store, route.handler(call), paths)
            return 200, json.dumps(answer)
        except KeptRefusal as refusal:
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
        """Read or set what is spoiled."""
        if request.method == "POST":
            values = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            try:
                switches.change(self.store, values)
            except ApiError as refusal:
                return JSONResponse({"error": refusal.message}, 400)
        return JSONResponse(switches.all_of(self.store))

    async def deliveries(self, _request: Request) -> Response:
        rows = self.store.run("SELECT state, COUNT(*) FROM delivery GROUP BY state")
        return JSONResponse({str(state): n for state, n in rows})

    async def resend(self, request: Request) -> Response:
        """Deliver an event once more to every endpoint."""
        try:
            n_queued = events.resend(self.store, request.path_params["id"])
        except ApiError as refusal:
            return JSONResponse(refusal.body(), refusal.status)
        return JSONResponse({"queued": n_queued})

    async def page(self, request: Request) -> Response:
        raw = (await request.body()).decode() if request.method == "POST" else ""
        return await run_in_threadpool(self._page, request, dict(parse_qsl(raw)))

    def _page(self, request: Request, form: dict[str, str]) -> Response:
        kind, object_id = request.path_params["page"], request.path_params["id"]
        try:
            if kind in pages.PAPERS and (object_id.endswith(".pdf") or kind == "receipts"):
                return self._paper(kind, object_id.removesuffix(".pdf"))
            if kind not in pages.PAGES:
                raise ApiError("No such page", status=404)
            page = pages.PAGES[kind]
            if request.method == "POST":
                return self._act(page, object_id, form)
            with self.store.transaction():
                return HTMLResponse(page.show(self._call(), object_id, ""))
        except ApiError as refusal:
            return JSONResponse(refusal.body(), refusal.status)

    def _call(self) -> Call:
        return Call(self.store, Params({}), self.settings.base_url)

    def _paper(self, kind: str, object_id: str) -> Response:
        with self.store.transaction():
            content = pages.paper(self._call(), kind, object_id)
        name = f"{kind.removesuffix('s')}-{object_id}.pdf"
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(content, 200, headers, "application/pdf")

    def _act(self, page: pages.Page, object_id: str, form: dict[str, str]) -> Response:
        """Do what a form says; a refusal is shown on the page, which stays."""
        kept: ApiError | None = None
        try:
            with self.store.transaction():
                try:
                    return RedirectResponse(page.act(self._call(), object_id, form), 303)
                except KeptRefusal as refusal:
                    kept = refusal
        except ApiError as refusal:
            kept = refusal
        with self.store.transaction():
            return HTMLResponse(page.show(self._call(), object_id, kept.message), kept.status)

    async def unknown(self, request: Request) -> Response:
        refusal = ApiError(
            f"Unrecognized request URL ({request.method}: {request.url.path}).", status=404
        )
        return JSONResponse(refusal.body(), 404)


def _token(request: Request) -> str:
    """Return the key or token of a call.

    Raises:
        ApiError: it has none.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        with suppress(ValueError):
            token = b64decode(token).decode().partition(":")[0]
    if scheme not in ("Bearer", "Basic") or not token:
        raise ApiError("You did not provide an API key.", status=401)
    return token


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw or b"{}")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ApiError("The body is not a JSON object.")
    return found


def _meter_of(encoded: str) -> str | None:
    """Return which customer's which meter an event is for."""
    values = dict(parse_qsl(encoded))
    customer = values.get("payload[stripe_customer_id]")
    return f"{customer} {values.get('event_name')}" if customer else None
