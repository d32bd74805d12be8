"""One POST to somebody else's server: to a checked address, within a deadline, without redirects.

The standard library's client is enough here and lets the socket be ours: it is opened to the
address that was checked, while certificate, SNI and Host speak of the name.
"""

import email.utils
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from tenants.notifications import addresses
from tenants.notifications.addresses import AddressRefused, HostUnknown, Target

CONNECT_TIMEOUT_S = 5.0
MAX_ADDRESSES = 3  # of one host that are tried in turn
# From the connection to the last byte read: a server that drips one byte a second must not hold
# a worker. (Standard Webhooks recommends 15 to 30 s.)
DEADLINE_S = 15.0
READ_BYTES = 2048
SHOWN_CHARACTERS = 200
GONE = 410
LATE = "It did not answer in time."


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one attempt. Without a status nobody answered, and `error` says why."""

    status: int | None = None
    text: str = ""
    error: str = ""
    retry_after_s: float | None = None
    is_refused: bool = False  # it must not go there: trying again would not help

    @property
    def is_ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class _Connection(http.client.HTTPConnection):
    """A connection to one of the checked `ips` that speaks to the target's name."""

    def __init__(self, target: Target, ips: Sequence[str]) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.is_tls else 80  # what Host leaves out
        self._target = target
        self._ips = ips
        self._deadline = threading.Timer(DEADLINE_S, self._cut)
        self._deadline.daemon = True
        self.is_cut = False

    def connect(self) -> None:
        self.sock = self._open()
        self.sock.settimeout(DEADLINE_S)
        self._deadline.start()
        if self._target.is_tls:
            context = ssl.create_default_context()
            tls = context.wrap_socket(
                self.sock, server_hostname=self._target.host, do_handshake_on_connect=False
            )
            self.sock = tls
            tls.do_handshake()

    def close(self) -> None:
        self._deadline.cancel()
        super().close()

    def _open(self) -> socket.socket:
        failure: OSError | None = None
        for ip in self._ips[:MAX_ADDRESSES]:
            try:
                return socket.create_connection((ip, self._target.port), CONNECT_TIMEOUT_S)
            except OSError as error:
                failure = error
        raise failure or ConnectionError("no address")

    def _cut(self) -> None:
        """End the exchange from another thread: whoever reads sees the end of the stream."""
        self.is_cut = True
        try:
            # Not SSLSocket's own, which would go on in plain text.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            return  # it ended by itself


def post(url: str, body: bytes, headers: Mapping[str, str], *, at: datetime) -> Answer:
    """Send one message and say what became of it. A refusal or a failure is an answer too."""
    try:
        target = addresses.parse(url)
        connection = _Connection(target, addresses.resolve(target))
    except AddressRefused as refusal:
        return Answer(error=str(refusal), is_refused=True)
    except HostUnknown as failure:
        return Answer(error=str(failure))
    sent = {"Content-Type": "application/json", "User-Agent": "Takt-Webhooks/1", **headers}
    with closing(connection):
        try:
            connection.request("POST", target.resource, body, sent)
            response = connection.getresponse()
            if connection.is_cut:  # the end of the stream looked like the end of the headers
                return Answer(error=LATE)
            return Answer(
                status=response.status,
                text=_printable(response.read(READ_BYTES)),
                error="" if 200 <= response.status < 300 else _words(response.status),
                retry_after_s=_retry_after(response.headers.get("Retry-After", ""), at),
            )
        except ssl.SSLCertVerificationError as failure:
            return Answer(error=f"Its certificate is not trusted: {failure.verify_message}.")
        except (OSError, http.client.HTTPException, ValueError) as failure:
            return Answer(error=_failure_words(failure))


def _words(status: int) -> str:
    if 300 <= status < 400:
        return f"It answered {status}, a redirect, and those are not followed: name where it leads."
    return f"It answered {status}."


def _failure_words(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return LATE
    if isinstance(failure, ConnectionRefusedError):
        return "Nothing listens at this address."
    return f"The connection failed ({type(failure).__name__})."


def _printable(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text)[:SHOWN_CHARACTERS]


def _retry_after(value: str, at: datetime) -> float | None:
    """Read a Retry-After: seconds or a date (RFC 9110, 10.2.3); None for anything else."""
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(
        0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - at).total_seconds()
    )
