"""A server that answers as it is told, for what the real one does not do on demand."""

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    headers: dict[str, str]
    body: bytes
    path: str = ""
    at_s: float = field(default_factory=time.monotonic)

    @property
    def readings(self) -> list[dict[str, Any]]:
        is_zipped = self.headers.get("content-encoding") == "gzip"
        found: list[dict[str, Any]] = json.loads(
            gzip.decompress(self.body) if is_zipped else self.body
        )
        return found


Reply = tuple[int, dict[str, str], Any]
Script = Callable[[Request], Reply | None]


@dataclass
class Scripted:
    """Answers with the next scripted reply; when there is none left it stores, as Takt does."""

    url: str
    script: list[Script] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    ahead: timedelta = timedelta()
    pictures: dict[str, str] = field(default_factory=dict)  # digest -> id

    def reply(self, request: Request) -> Reply:
        self.requests.append(request)
        told = self.script.pop(0)(request) if self.script else None
        if told is None and "/inspection-plans/" in request.path:
            told = self.picture(request)
        return told or self.receipt(request)

    def picture(self, request: Request) -> Reply:
        digest = hashlib.sha256(request.body).hexdigest()
        is_new = digest not in self.pictures
        found = self.pictures.setdefault(digest, f"picture-{len(self.pictures)}")
        answer = {"id": found, "state": "ok", "verdict": "pass", "score": 0.5, "limit": 1.0}
        return (201 if is_new else 200), {}, answer

    def receipt(self, request: Request) -> Reply:
        readings = request.readings
        new = {r["ts"]: r["values"] for r in readings if r["ts"] not in self.stored}
        self.stored.update(new)
        answer = {
            "received": len(readings),
            "stored": len(new),
            "duplicates": len(readings) - len(new),
            "rejected": [],
            "server_time": (datetime.now(UTC) + self.ahead).isoformat(),
        }
        return 200, {}, answer


def refusing(status: int, code: str = "", **headers: str) -> Script:
    """A reply as Takt words it, or without a word of Takt's when there is no code."""
    body = {"code": code, "message": f"{code} it is"} if code else "<html>no</html>"
    return lambda _request: (
        status,
        {k.replace("_", "-"): v for k, v in headers.items()},
        body,
    )


@contextmanager
def scripted() -> Iterator[Scripted]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            n_bytes = int(self.headers["Content-Length"])
            body = self.rfile.read(n_bytes)
            if len(body) < n_bytes:  # the client was killed while it sent
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, extra, answer = server.reply(Request(headers, body, self.path))
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**extra, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the screen of a test."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        server = Scripted(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield server
        httpd.shutdown()
        thread.join()
