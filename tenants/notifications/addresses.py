"""Where a webhook may go: to public addresses on the internet, over HTTPS.

The host is resolved once, every address that it has is checked, and the sender connects to a
checked address itself, so a name that answers differently the second time gains nothing.

Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates), NAT64
RFC 6052. `ipaddress.is_global` is not asked: what it says of some ranges differs by release.
"""

import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from django.conf import settings

RESOLVE_TIMEOUT_S = 5.0
MAX_LENGTH = 500
PORTS = (443, 8443)

_NOT_PUBLIC_V4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; holds one cloud's metadata address
            "127.0.0.0/8",
            "168.63.129.16/32",  # a cloud's control plane, on a public address
            "169.254.0.0/16",  # link-local; holds most clouds' metadata address
            "172.16.0.0/12",
            "192.0.0.0/24",  # IETF assignments; holds one cloud's metadata address
            "192.0.2.0/24",  # documentation, with the two below
            "198.51.100.0/24",
            "203.0.113.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_PUBLIC_V6 = ip_network("2000::/3")  # all that is global unicast; the rest is refused unasked
_NOT_PUBLIC_V6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # IETF protocols: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation, with the one below
            "3fff::/20",
            "2002::/16",  # 6to4 carries an IPv4 address of anybody's choice
        ),
    )
)
_NAT64 = ip_network("64:ff9b::/96")
# Resolving has no time-out of its own in the C library, so it is waited for from outside.
_resolvers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")


class AddressRefused(Exception):
    """A webhook does not go there; the text says why, for people."""


class HostUnknown(Exception):
    """The name could not be resolved just now; trying later may help."""


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an address that a request needs."""

    is_tls: bool
    host: str
    port: int
    resource: str  # path and query


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Say whether an address belongs to the internet at large; what embeds an IPv4 address is
    judged by that one."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    if address.ipv4_mapped is not None:
        return is_public(address.ipv4_mapped)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def parse(url: str) -> Target:
    """Read the address of an endpoint.

    Raises:
        AddressRefused: it is no address that a webhook may have, whatever its host resolves to.
    """
    if len(url) > MAX_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(
            f"An address has at most {MAX_LENGTH} characters, plain ASCII without spaces."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise AddressRefused("This is not an address such as https://hooks.example/takt.") from None
    if not host or not parts.netloc:
        raise AddressRefused("This is not an address such as https://hooks.example/takt.")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_private_allowed()):
        raise AddressRefused("A webhook goes to an address that starts with https://.")
    if "@" in parts.netloc or "#" in url:
        raise AddressRefused("The address holds a user name, a password or a #: leave it out.")
    is_tls = parts.scheme == "https"
    port = port or (443 if is_tls else 80)
    if port not in PORTS and not _is_private_allowed():
        raise AddressRefused(f"Port {port} is not used for webhooks; 443 and 8443 are.")
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = Target(is_tls, host, port, resource)
    literal = _literal(host)
    if literal is not None:
        _refuse_private(host, [literal])
    return target


def resolve(target: Target) -> list[str]:
    """Return the addresses of the host, to connect to one of them; all that it has are public.

    Raises:
        AddressRefused: one of them is not.
        HostUnknown: there is none, or the answer took too long.
    """
    asked = _resolvers.submit(socket.getaddrinfo, target.host, target.port, type=socket.SOCK_STREAM)
    try:
        found = asked.result(timeout=RESOLVE_TIMEOUT_S)
    except TookTooLong:
        raise HostUnknown(f"The name {target.host} was not resolved in time.") from None
    except (OSError, UnicodeError):
        raise HostUnknown(f"The name {target.host} has no address.") from None
    addresses = [str(entry[4][0]) for entry in found]
    _refuse_private(target.host, [ip_address(address) for address in addresses])
    return addresses


def _refuse_private(host: str, addresses: list[IPv4Address | IPv6Address]) -> None:
    if _is_private_allowed():
        return
    for address in addresses:
        if not is_public(address):
            raise AddressRefused(
                f"{host} lies at {address}, which is not on the public internet. Webhooks go "
                "to public addresses only."
            )


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_private_allowed() -> bool:
    return bool(settings.WEBHOOK_ALLOW_PRIVATE)
