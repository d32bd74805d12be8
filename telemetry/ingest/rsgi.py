"""What granian hands over (RSGI), as the rest of this package and Django know it (ASGI)."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # is its public name

Message = MutableMapping[str, Any]


def receiver(protocol: Any, *, is_whole: bool = False) -> Callable[[], Awaitable[Message]]:
    """Return ASGI's `receive`: the body, then the end of the connection.

    `is_whole`: the length of the body is known, and checked; it is taken in one piece.
    """
    pieces = None if is_whole else aiter(protocol)
    is_read = False

    async def receive() -> Message:
        nonlocal is_read
        try:
            if is_read:
                await protocol.client_disconnect()
            elif pieces is None:
                is_read = True
                return {"type": "http.request", "body": await protocol(), "more_body": False}
            else:
                # Not `anext(pieces, None)`: its wrapper does not know granian's awaitables.
                piece = await pieces.__anext__()
                return {"type": "http.request", "body": piece, "more_body": True}
        except StopAsyncIteration:
            is_read = True
            return {"type": "http.request", "body": b"", "more_body": False}
        except ProtocolClosed:
            is_read = True
        return {"type": "http.disconnect"}

    return receive


def texts(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Headers as RSGI takes them."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
