"""What the load generator sends: requests rendered before the clock starts, but for their times.

A request is kept in parts between which its time stands, to the second; the milliseconds are
rendered. So a new request is one `join`, and all requests of a connection have one length.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

# Key, lowest, highest, decimals: a spindle's.
SIGNALS = (
    ("spindle_load_pct", 20.0, 90.0, 2),
    ("vib_rms_mm_s", 1.0, 4.0, 3),
    ("spindle_temp_c", 35.0, 60.0, 1),
    ("power_kw", 2.0, 11.0, 2),
)
_TIME = "@"


@dataclass(frozen=True)
class Form:
    """One way to write readings down, and how it writes the second of a time."""

    content_type: str
    write: Callable[[int, list[int], list[dict[str, str]]], str]
    stamp: Callable[[datetime], str]

    def stamps(self, first_at: datetime, n: int) -> list[bytes]:
        """Return the times of `n` requests, a second apart."""
        start = int(first_at.timestamp())
        return [self.stamp(datetime.fromtimestamp(start + i, UTC)).encode() for i in range(n)]


def _rows(device: int, millis: list[int], values: list[dict[str, str]]) -> str:
    readings = [
        f'{{"ts": "{_TIME}.{ms:03d}{device % 1000:03d}Z", "values": {{'
        + ", ".join(f'"{key}": {value}' for key, value in one.items())
        + "}}"
        for ms, one in zip(millis, values, strict=True)
    ]
    return readings[0] if len(readings) == 1 else f"[{', '.join(readings)}]"


def _columns(device: int, millis: list[int], values: list[dict[str, str]]) -> str:
    times = ", ".join(f'"{_TIME}.{ms:03d}{device % 1000:03d}Z"' for ms in millis)
    keys = ", ".join(f'"{key}": [{", ".join(one[key] for one in values)}]' for key in values[0])
    return f'{{"ts": [{times}], "values": {{{keys}}}}}'


def _lines(device: int, millis: list[int], values: list[dict[str, str]]) -> str:
    return "\n".join(
        f"machine,device=d{device} "
        + ",".join(f"{key}={value}" for key, value in one.items())
        + f" {_TIME}{ms:03d}"
        for ms, one in zip(millis, values, strict=True)
    )


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")


FORMS = {
    "rows": Form("application/json", _rows, _iso),
    "columns": Form("application/json", _columns, _iso),
    # InfluxDB's line protocol with times in milliseconds.
    "lines": Form("text/plain", _lines, lambda at: str(int(at.timestamp()))),
}


def parts(form: str, *, path: str, token: str, device: int, batch: int) -> list[bytes]:
    """Render a request of `batch` readings a millisecond apart, cut where its time belongs."""
    if batch > 1000:
        raise ValueError("a request spans a second")
    chance = random.Random(device)
    kind = FORMS[form]
    millis = list(range(batch))
    values = [
        {key: f"{chance.uniform(low, high):.{digits}f}" for key, low, high, digits in SIGNALS}
        for _ in millis
    ]
    body = kind.write(device, millis, values)
    stamp = kind.stamp(datetime(2026, 1, 1, tzinfo=UTC))
    n_bytes = len(body) + body.count(_TIME) * (len(stamp) - len(_TIME))
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:8443\r\nContent-Type: {kind.content_type}\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {n_bytes}\r\n\r\n"
    )
    return [part.encode() for part in (head + body).split(_TIME)]


def probe(form: str) -> bytes:
    """Return a small body, to ask whether a form is spoken."""
    request = parts(form, path="/", token="", device=1, batch=2)
    stamp = FORMS[form].stamp(datetime(2025, 1, 1, tzinfo=UTC)).encode()
    return stamp.join(request).partition(b"\r\n\r\n")[2]
