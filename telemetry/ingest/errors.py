"""What can go wrong with a whole request and how it is answered; when the database is away."""

import asyncpg

# What asyncpg raises where the database does not answer. The last one is of no kind of its own: a
# server that is killed while it answers leaves a connection in a state that asyncpg does not know.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
# So soon after a payment a device that waits is heard again.
SUSPENDED_AGAIN_S = 300.0
Headers = tuple[tuple[bytes, bytes], ...]


class RequestRefused(Exception):
    """The request gets this answer and nothing of it is stored."""

    def __init__(self, status: int, code: str, message: str, *, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


def unavailable(message: str, *, retry_after_s: float = 1.0) -> RequestRefused:
    """The data may be sent again later; the outcome of this attempt is not promised."""
    return RequestRefused(503, "unavailable", message, headers=retry_after(retry_after_s))


def too_fast(message: str, *, retry_after_s: float, headers: Headers = ()) -> RequestRefused:
    return RequestRefused(429, "too_fast", message, headers=(*retry_after(retry_after_s), *headers))


def suspended(until: str) -> RequestRefused:
    """The factory takes no readings until it has paid; 403, so that clients keep what they have.

    402 would say it better, but Telegraf drops what any other 4xx answers
    (https://github.com/influxdata/telegraf/blob/master/plugins/outputs/influxdb_v2/http.go).
    """
    kept = f" Its data are kept until {until}." if until else ""
    return RequestRefused(
        403,
        "suspended",
        "The factory is suspended because a payment is missing, and takes no readings."
        f"{kept} Its owner finds how to go on under Usage and bill.",
        headers=retry_after(SUSPENDED_AGAIN_S),
    )


def cap_reached(retry_after_s: float) -> RequestRefused:
    return RequestRefused(
        429,
        "cap_reached",
        "The cap on this month's readings is reached. Readings are taken again from the first of"
        " the next month, or as soon as the owner raises the cap under Usage and bill.",
        headers=retry_after(retry_after_s),
    )


def retry_after(seconds: float) -> Headers:
    return ((b"retry-after", str(max(1, round(seconds + 0.5))).encode()),)
