"""Commands that send a first reading, each of which works as it stands once it is copied."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

# What a first reading may hold: a state, a figure with a clear name, a counter, a riddle.
EXAMPLE = '{"execution": "ACTIVE", "spindle_load_pct": 58.2, "part_count": 1204, "t1": 41.7}'
NO_KEY = "PUT-THE-KEY-HERE"
MADE_UP = "mill"


@dataclass(frozen=True)
class Command:
    id: str
    label: str
    text: str
    words: str


def commands(
    *, base_url: str, token: str, ca_file: Path | None, made_up_first: bool = False
) -> list[Command]:
    """Return the ways to send, the most fitting one first.

    Args:
        token: the device's key, empty on pages that do not know it any more.
        ca_file: the authority behind the server's certificate, None where computers know it.
    """
    url = f"{base_url}/api/v1/telemetry"
    key = token or NO_KEY
    found = [
        Command(
            "curl",
            "curl",
            _curl(url, key, ca_file),
            "Sends one reading, stamped with the time of its arrival."
            " The answer says what was stored and what was refused.",
        ),
        Command(
            "python",
            "Python",
            _python(url, key, ca_file),
            "Needs nothing but Python 3. Paste it into a terminal.",
        ),
        Command(
            "mill",
            "Made-up mill",
            _mill(url, key, ca_file),
            "Needs nothing but Python 3. Sends a reading every second, as a mill would,"
            " until you stop it with Ctrl+C.",
        ),
    ]
    return [found[2], found[0], found[1]] if made_up_first else found


def claim_command(base_url: str, code: str, ca_file: Path | None) -> str:
    """Return what a gateway sends to become a device by a claim code."""
    lines = [f"curl {base_url}/api/v1/claim"]
    if ca_file:
        lines.append(f"  --cacert {shlex.quote(str(ca_file))}")
    body = f'{{"code": "{code}", "name": "Gateway 1", "hardware_id": "its serial number"}}'
    lines += ["  -H 'Content-Type: application/json'", f"  -d '{body}'"]
    return " \\\n".join(lines)


def burst_command(base_url: str, machine_id: UUID, ca_file: Path | None) -> str:
    """Return how a program posts a burst of vibration: a file, and the command that sends it."""
    file = """cat > burst.json <<'END'
{"bursts": [{"point": "drive end, radial", "taken_at": "2026-11-26T10:00:00Z",
  "sample_rate_hz": 12000, "unit": "g", "speed_rpm": 1480,
  "samples": [0.012, -0.034, ... at least 256 of them ...]}]}
END"""
    lines = [f"curl {base_url}/api/v1/machines/{machine_id}/vibration"]
    if ca_file:
        lines.append(f"  --cacert {shlex.quote(str(ca_file))}")
    lines += [
        "  -H 'Authorization: Bearer takt_api_...'",
        "  -H 'Content-Type: application/json'",
        "  -d @burst.json",
    ]
    return file + "\n" + " \\\n".join(lines)


def _curl(url: str, key: str, ca_file: Path | None) -> str:
    lines = [f"curl {url}"]
    if ca_file:
        lines.append(f"  --cacert {shlex.quote(str(ca_file))}")
    lines += [
        f"  -H 'Authorization: Bearer {key}'",
        "  -H 'Content-Type: application/json'",
        f"  -d '{{\"values\": {EXAMPLE}}}'",
    ]
    return " \\\n".join(lines)


def _head(url: str, key: str, ca_file: Path | None, imports: str) -> str:
    context = (
        f'ssl.create_default_context(cafile="{ca_file}")'
        if ca_file
        else "ssl.create_default_context()"
    )
    return f"""python3 - <<'END'
import {imports}

def send(values):
    request = urllib.request.Request(
        "{url}",
        data=json.dumps({{"values": values}}).encode(),
        headers={{"Authorization": "Bearer {key}",
                 "Content-Type": "application/json"}},
    )
    with urllib.request.urlopen(request, context={context}) as answer:
        return answer.read().decode()
"""


def _python(url: str, key: str, ca_file: Path | None) -> str:
    return (
        _head(url, key, ca_file, "json, ssl, urllib.request")
        + """
print(send("""
        + EXAMPLE
        + """))
END"""
    )


def _mill(url: str, key: str, ca_file: Path | None) -> str:
    return (
        _head(url, key, ca_file, "json, math, random, ssl, time, urllib.request")
        + """
for second in range(36000):
    cutting = second % 90 < 75
    load = 55 + 8 * math.sin(second / 9) + 3 * random.random()
    send({
        "execution": "ACTIVE" if cutting else "READY",
        "spindle_load_pct": round(load if cutting else 2, 1),
        "vib_rms_mm_s": round(2.8 + 0.4 * random.random() if cutting else 0.5, 2),
        "part_count": second // 90,
    })
    time.sleep(1)
END"""
    )
