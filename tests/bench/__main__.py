"""`python -m tests.bench [area ...]`: run the benchmarks and write var/bench/<area>.json."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

NOT_AREAS = {"__init__", "__main__", "drf_baseline", "installation", "load"}


def areas() -> list[str]:
    """Every module of this folder that has figures to give."""
    return sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - NOT_AREAS)


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
    out = Path(os.environ.get("TAKT_VAR") or "var").resolve() / "bench"
    out.mkdir(parents=True, exist_ok=True)
    for area in wanted or areas():
        print(f"== {area}", flush=True)
        before = machine()
        metrics: dict[str, float] = import_module(f"tests.bench.{area}").run()
        report = {"metrics": metrics, "at": datetime.now(UTC).isoformat(), "machine": before}
        (out / f"{area}.json").write_text(json.dumps(report, indent=2) + "\n")
        width = max(map(len, metrics), default=0)
        for name, value in metrics.items():
            print(f"  {name:<{width}}  {value:,.4g}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
