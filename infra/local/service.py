"""What every part has in common: a command, a health check, an environment for the others."""

from __future__ import annotations

import http.client
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from infra.local.home import Home
from infra.local.processes import Command

REPOSITORY = Path(__file__).resolve().parents[2]
LOOPBACK = "127.0.0.1"


class Unhealthy(Exception):
    """The part does not (yet) do its work; the text says what it answered."""


class Service(ABC):
    """One part that can be started. `stack.Stack` decides when."""

    name: ClassVar[str]
    start_timeout_s: ClassVar[float] = 20.0
    stop_timeout_s: ClassVar[float] = 8.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def folder(self) -> Path:
        """Where the part keeps its data."""
        return self.home.var / self.name

    def prepare(self) -> None:  # noqa: B027 (most parts need nothing)
        """Make what the command needs; called before every start, also after a crash."""

    @abstractmethod
    def command(self, env: Mapping[str, str]) -> Command:
        """The program to run, knowing the environment so far."""

    @abstractmethod
    def check(self, env: Mapping[str, str]) -> None:
        """Raise `Unhealthy` or `OSError` unless the part does its work."""

    def complete(self, env: Mapping[str, str]) -> None:  # noqa: B027 (as above)
        """Finish what needs the running part (databases, roles); may run many times."""

    def environment(self) -> dict[str, str]:
        """The variables by which the other parts find this one."""
        return {}

    def directories(self) -> list[Path]:
        """Working directories by which stray processes of this part are known."""
        return []


def answers(host: str, port: int, *, timeout_s: float = 1.0) -> None:
    """Raise `OSError` unless somebody accepts a connection."""
    with socket.create_connection((host, port), timeout=timeout_s):
        pass


def answers_ok(connection: http.client.HTTPConnection, path: str, *, host: str = "") -> None:
    """Ask for a path and hang up; `host` is what is asked for, if not the connection's own.

    Raises:
        Unhealthy: the answer was another than 200, or none that is HTTP.
        OSError: there was none.
    """
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        raise Unhealthy(repr(error)) from error
    finally:
        connection.close()
    if status != http.client.OK:
        raise Unhealthy(f"{path} at port {connection.port} answered {status}")
