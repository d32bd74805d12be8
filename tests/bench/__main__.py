"""`python -m tests.bench [area ...]`: run the benchmarks and write var/bench/<area>.json."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from tests.bench.table import show_figures


def areas() -> list[str]:
    """Every module of this folder that has figures to give.

    By its text: importing all of them would set up Django in two ways.
    """
    modules = Path(__file__).parent.glob("*.py")
    return sorted(path.stem for path in modules if "\ndef run() -> dict" in path.read_text())


def machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpus": os.cpu_count(),
        "memory_gb": round(memory / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def main(wanted: list[str]) -> int:
    unknown = set(wanted) - set(areas())
    if unknown:
        print(f"No such area: {', '.join(sorted(unknown))}. There are: {', '.join(areas())}.")
        return 2
    chosen = wanted or areas()
    if len(chosen) > 1:
        # Each in a process of its own: Django is set up for one installation, once.
        commands = [[sys.executable, "-m", "tests.bench", area] for area in chosen]
        return max(subprocess.call(command) for command in commands)
    measure(chosen[0])
    return 0


def measure(area: str) -> None:
    """Run one area, write its figures and print them."""
    print(f"== {area}", flush=True)
    # Before the area enters an installation of its own.
    out = Path(os.environ.get("TAKT_VAR") or "var").resolve() / "bench"
    out.mkdir(parents=True, exist_ok=True)
    before = machine()
    module = import_module(f"tests.bench.{area}")
    metrics: dict[str, float] = module.run()
    report = {"metrics": metrics, "at": datetime.now(UTC).isoformat(), "machine": before}
    (out / f"{area}.json").write_text(json.dumps(report, indent=2) + "\n")
    required = getattr(module, "WANTED", {})
    tabled = getattr(module, "TABLED", ())
    shown = {k: v for k, v in metrics.items() if k in required or not k.endswith(tabled)}
    show_figures(shown, required)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
