"""InfluxDB 1.x and VictoriaMetrics beside Takt, where Debian's packages are installed.

    apt-get install influxdb victoria-metrics

Both are started by us on the loopback address with data of their own and with their defaults:
InfluxDB answers when its log is on the disk (fsync on every write); VictoriaMetrics answers when
the points are in memory and writes them to disk within seconds, without an fsync before the
answer. Both overwrite a repeat with another value without a trace. They get the same points by
the same connections in InfluxDB's line protocol.
"""

import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.bodies import SIGNALS
from tests.bench.installation import free_port

WRITE_PATH = "/write?db=bench&precision=ms"
_START_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Other:
    """A running time-series database that takes lines."""

    port: int
    pid: int
    count_points: Callable[[], int]


@contextmanager
def influx(folder: Path) -> Iterator[Other | None]:
    """Run InfluxDB 1.x; None where it is not installed."""
    binary = shutil.which("influxd")
    if binary is None:
        print("influx: skipped, influxd is not installed (apt-get install influxdb)")
        yield None
        return
    port = free_port()
    folder.mkdir(parents=True)
    config = folder / "influxdb.conf"
    config.write_text(
        f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[logging]
  level = "error"
  suppress-logo = true
[monitor]
  store-enabled = false
"""
    )
    with _running([binary, "-config", str(config)], folder) as pid:
        query = f"http://127.0.0.1:{port}/query"
        _ask(query, {"q": "CREATE DATABASE bench"})
        key = SIGNALS[0][0]

        def count_points() -> int:
            found = _ask(query, {"db": "bench", "q": f"SELECT count({key}) FROM machine"})
            n_readings = found.rpartition(",")[2].strip(']}"\n ')
            return int(n_readings) * len(SIGNALS)

        yield Other(port, pid, count_points)


@contextmanager
def victoria(folder: Path) -> Iterator[Other | None]:
    """Run VictoriaMetrics; None where it is not installed."""
    binary = shutil.which("victoria-metrics")
    if binary is None:
        print("victoria: skipped, victoria-metrics is not installed")
        yield None
        return
    port = free_port()
    folder.mkdir(parents=True)
    command = [
        binary, f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}",
        # By default what is older than a month is thrown away.
        "-retentionPeriod=100y", "-loggerLevel=ERROR",
    ]  # fmt: skip
    with _running(command, folder) as pid:
        _ask(f"http://127.0.0.1:{port}/health")

        def count_points() -> int:
            page = _ask(f"http://127.0.0.1:{port}/metrics")
            rows = [line for line in page.splitlines() if line.startswith("vm_rows_inserted_total")]
            return sum(int(float(row.split()[1])) for row in rows if 'type="influx"' in row)

        yield Other(port, pid, count_points)


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[int]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _ask(url: str, form: dict[str, str] | None = None) -> str:
    """Ask until there is an answer: the server may be starting."""
    data = None if form is None else urllib.parse.urlencode(form).encode()
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(url, data, timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)
