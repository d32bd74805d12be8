"""Programs and settings that keep a machine sending, filled in for one device.

They are the files below `clients/recipes`, which the tests run as they stand: what the page
shows is what was tried.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

# What stands in the files where an installation and a device have their own.
URL, KEY, CA_FILE = "https://takt.example", "PUT-THE-KEY-HERE", "/path/to/ca.pem"
CERTIFICATE = "PUT-THE-CERTIFICATE-HERE"


@dataclass(frozen=True)
class Recipe:
    id: str
    label: str
    file: str
    text: str
    words: str


def _for_shell(text: str) -> str:
    return text.replace("'", "'\\''")


def _for_strings(text: str) -> str:
    """Escape for double quotes, as JSON, TOML, C++, Python and JavaScript have them."""
    return json.dumps(text)[1:-1]


_Escape = Callable[[str], str]
_ALL: tuple[tuple[str, str, str, _Escape, str], ...] = (
    (
        "curl", "Shell", "curl/takt.sh", _for_shell,
        "Sends each line of its input: put it behind whatever prints values.",
    ),
    (
        "python", "Python", "python/takt.py", _for_strings,
        "Needs nothing but Python 3. Call send() from your program.",
    ),
    (
        "node", "Node", "node/takt.mjs", _for_strings,
        "Needs nothing but Node 18. Call send() from your program.",
    ),
    (
        "esp32", "ESP32", "esp32/takt.ino", _for_strings,
        "A sketch for the Arduino IDE. Measures a voltage every second; keeps ten minutes without"
        " network.",
    ),
    (
        "telegraf", "Telegraf", "telegraf/telegraf.conf", _for_strings,
        "Its inputs read Modbus, OPC UA, S7 and MQTT, among others.",
    ),
    (
        "node-red", "Node-RED", "node-red/flow.json", _for_strings,
        "Import it from the clipboard. Wire what you measure to the node named stamp.",
    ),
)  # fmt: skip


def recipes(*, base_url: str, token: str, ca_file: Path | None) -> list[Recipe]:
    """Return the recipes, filled in.

    Args:
        token: the device's key, empty on pages that do not know it any more.
        ca_file: the authority behind the server's certificate, None where computers know it.
    """
    certificate = ca_file.read_text().strip() if ca_file else CERTIFICATE
    found = []
    for id_, label, file, escape, words in _ALL:
        text = (
            _text(file)
            .replace(URL, escape(base_url))
            .replace(KEY, escape(token or KEY))
            .replace(CA_FILE, escape(str(ca_file) if ca_file else ""))
            .replace(CERTIFICATE, certificate)
        )
        found.append(Recipe(id_, label, file.rpartition("/")[2], text, words))
    return found


@cache
def _text(file: str) -> str:
    return (settings.BASE_DIR / "clients" / "recipes" / file).read_text()
