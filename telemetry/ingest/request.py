"""The headers of a request to ingest, whatever server took it, and what they alone decide."""

from collections.abc import Iterable
from typing import Any, Final

from telemetry.ingest import limits
from telemetry.ingest.body import too_large
from telemetry.ingest.errors import RequestRefused
from telemetry.ingest.state import Device

# curl -d says form-urlencoded and means JSON, as do small devices that say nothing at all.
CONTENT_TYPES: Final = frozenset(
    [b"", b"application/json", b"text/json", b"text/plain", b"application/octet-stream",
     b"application/x-www-form-urlencoded"]
)  # fmt: skip


class Request:
    """The headers that matter here."""

    __slots__ = (
        "authorization", "content_length", "content_type", "date", "device", "encoding", "host",
        "n_hosts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.authorization = self.host = self.content_type = self.encoding = self.date = b""
        self.content_length = 0
        self.n_hosts = 0
        # Known once the credential is; a refusal is noted with it.
        self.device: Device | None = None

    @classmethod
    def of_asgi(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Request":
        self = cls()
        for name, value in headers:
            if name == b"authorization":
                self.authorization = value
            elif name == b"host":
                self.host = value
                self.n_hosts += 1
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-encoding":
                self.encoding = value
            elif name == b"content-length" and value.isdigit():
                self.content_length = int(value)
            elif name == b"date":
                self.date = value
        return self

    @classmethod
    def of_rsgi(cls, scope: Any) -> "Request":
        self = cls()
        get = scope.headers.get
        self.authorization = get("authorization", "").encode("latin-1")
        hosts = scope.headers.get_all("host") or [scope.authority or ""]
        self.host = hosts[0].encode("latin-1")
        self.n_hosts = len(hosts)
        self.content_type = get("content-type", "").encode("latin-1")
        self.encoding = get("content-encoding", "").encode("latin-1")
        length = get("content-length", "")
        if length.isdigit():
            self.content_length = int(length)
        self.date = get("date", "").encode("latin-1")
        return self

    def check_host(self) -> None:
        if self.n_hosts > 1:
            raise RequestRefused(400, "two_hosts", "The request names more than one host.")

    def check_body(self) -> None:
        """Refuse what need not be read."""
        if self.content_length > limits.MAX_BODY_BYTES:
            raise too_large(limits.MAX_BODY_BYTES)
        if self.content_type not in CONTENT_TYPES:
            kind = self.content_type.partition(b";")[0].strip().lower()
            if kind not in CONTENT_TYPES:
                raise RequestRefused(415, "unsupported_media_type", "Send application/json.")
        if self.encoding not in (b"", b"identity", b"gzip"):
            raise RequestRefused(
                415,
                "unsupported_encoding",
                "Send the body plain or with gzip.",
                headers=((b"accept-encoding", b"gzip"),),
            )
