"""What can go wrong with a whole request, and how it is answered."""

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


def retry_after(seconds: float) -> Headers:
    return ((b"retry-after", str(max(1, round(seconds + 0.5))).encode()),)
