"""How Takt calls Stripe: with which version, for how long, and what an error means.

Contract: docs.stripe.com/api, version `API_VERSION` (the one that our contract tests check). Every
write carries an idempotency key derived by the caller from what it writes, so a call may be
repeated after any failure. The library itself retries connection errors and 409/5xx twice.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import requests
import stripe
from requests.utils import get_environ_proxies

# The library tells of every call at level info; what matters of them is logged where it is done.
logging.getLogger("stripe").setLevel(logging.WARNING)

API_VERSION = "2026-08-26.dahlia"
TIMEOUT_S = (3.05, 10.0)  # connect, read

Answer = TypeVar("Answer")


class StripeAway(Exception):
    """Stripe did not answer, or asked to come back later; the same call may be made again."""


class StripeRefused(Exception):
    """Stripe answered that this will not do; repeating it would not help."""

    def __init__(self, message: str, *, code: str | None, status: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def seconds(at: datetime) -> int:
    return int(at.timestamp())


@contextmanager
def wrapped() -> Iterator[None]:
    """Turn the library's errors into ours: later, or never."""
    try:
        yield
    except (stripe.APIConnectionError, stripe.RateLimitError) as error:
        raise StripeAway(type(error).__name__) from error
    except stripe.StripeError as error:
        status = error.http_status
        if status is None or status >= 500 or status == 409:
            raise StripeAway(f"{type(error).__name__} {status}") from error
        raise StripeRefused(
            str(error.user_message or error), code=error.code, status=status
        ) from error


def typed(values: dict[str, Any]) -> Any:
    """Hand a plain mapping to the library, whose parameter types are TypedDicts."""
    return values


def proration(behavior: str, at: datetime | None) -> dict[str, Any]:
    """Return how a change is charged for, and for which moment it is computed."""
    moment = {} if at is None else {"proration_date": seconds(at)}
    return {"proration_behavior": behavior, **moment}


def _addresses(api_base: str) -> Any:
    """Return where the library sends calls, None for Stripe itself."""
    return {"api": api_base, "meter_events": api_base} if api_base else None


def _session(address: str) -> requests.Session:
    """Return a session that looks for proxies in the environment once, not with every call.

    That took a fifth of what a call costs us, and the nightly proof makes five for each account.
    """
    session = requests.Session()
    session.proxies = dict(get_environ_proxies(address))
    session.trust_env = False
    return session


class Calls:
    """The connection that the calls of all rooms share."""

    def __init__(
        self,
        *,
        api_key: str,
        api_base: str,
        max_retries: int = 2,
        session: requests.Session | None = None,
    ) -> None:
        # A client for a key: the stream of usage has keys of its own.
        self._connect = partial(
            stripe.StripeClient,
            stripe_version=API_VERSION,
            base_addresses=_addresses(api_base),
            max_network_retries=max_retries,
            http_client=stripe.RequestsClient(
                timeout=TIMEOUT_S, session=session or _session(api_base or "https://api.stripe.com")
            ),
        )
        self._client = self._connect(api_key)
        self._v1 = self._client.v1

    def _write(self, method: Callable[..., Answer], values: dict[str, Any], key: str) -> Answer:
        return method(typed(values), {"idempotency_key": key})
