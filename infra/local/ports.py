"""Find ports that nobody uses, also when two installations start in the same second.

Every port lies below 32768, where Linux begins to hand out the local ends of outgoing
connections: a port above may be taken at any moment by somebody's client.
"""

from __future__ import annotations

import errno
import socket

HIGHEST = 32767
_TRIES = 200
_LOOPBACK = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


class NoFreePort(Exception):
    """Neither the preferred port nor any of those after it is free."""


class Reservations:
    """Ports set aside for this process until `release`.

    Between looking for a free port and the server's listening there lies up to a second in which
    another installation could find the same one (granian would even share it without an error).
    So each port is claimed by a name among the abstract Unix sockets: one per network
    namespace, no file, gone with the process.
    """

    def __init__(self) -> None:
        self._claims: dict[int, socket.socket] = {}

    def reserve(self, preferred: int, *, offsets: tuple[int, ...] = (0,)) -> int:
        """Set aside the first port from `preferred` on that is free with all its `offsets`."""
        for port in range(preferred, preferred + _TRIES):
            group = [port + offset for offset in offsets]
            if max(group) > HIGHEST:
                break
            if all(self._claim(each) for each in group):
                return port
            for each in group:
                self._drop(each)
        raise NoFreePort(f"no free port from {preferred} on")

    def reserve_exactly(self, port: int) -> int:
        """Set aside this very port."""
        if not self._claim(port):
            raise NoFreePort(f"port {port} is taken")
        return port

    def release(self) -> None:
        """Give all ports back."""
        for port in list(self._claims):
            self._drop(port)

    def _claim(self, port: int) -> bool:
        if port in self._claims:
            return False
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            claim.bind(f"\0takt-port-{port}")
        except OSError:
            claim.close()
            return False
        if not is_free(port):
            claim.close()
            return False
        self._claims[port] = claim
        return True

    def _drop(self, port: int) -> None:
        claim = self._claims.pop(port, None)
        if claim is not None:
            claim.close()


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of the loopback addresses now."""
    for family, address in _LOOPBACK:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Without this a port counts as taken for a minute after its server stopped.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                # No IPv6 on this machine: nothing to collide with.
    return True
