"""Command line: `python -m infra.local up|down|status|env`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from infra.local import processes
from infra.local.failures import AlreadyRunning, Malformed, ServiceFailed
from infra.local.home import Home
from infra.local.service import REPOSITORY
from infra.local.stack import SERVICES, Stack

_DOWN_TIMEOUT_S = 60.0


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status", "env"))
    parser.add_argument(
        "services", nargs="*", metavar="service", help=f"for up: some of {', '.join(SERVICES)}"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.services) - set(SERVICES):
        parser.error(f"unknown service {', '.join(sorted(unknown))}")
    var = Path(os.environ.get("TAKT_VAR") or REPOSITORY / "var")
    try:
        if options.command == "up":
            return _up(var, options.services or None)
        return {"down": _down, "status": _status, "env": _env}[options.command](Home(var))
    except (ServiceFailed, Malformed, AlreadyRunning) as error:
        print(f"Takt did not start. {error}", file=sys.stderr)
    except OSError as error:
        print(f"Takt cannot use {var}: {error}", file=sys.stderr)
    return 1


def _up(var: Path, services: list[str] | None) -> int:
    """Start, print the address, wait for a signal, stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    stack = Stack(var=var, services=services, supervise=True)
    try:
        env = stack.start()
        if services is None or "web" in services:
            print(f"Takt is running at {env['TAKT_BASE_URL']} (authority: {var / 'ca.pem'})")
        print("Ctrl-C stops it.", flush=True)
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
    finally:
        # The end is bounded in time; a second Ctrl-C would only leave it half done.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _down(home: Home) -> int:
    """End what runs, wherever it was started."""
    holder = home.holder()
    if holder is None or not home.is_locked():
        print("Takt is not running.")
        return 0
    os.kill(holder, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_TIMEOUT_S
    while home.is_locked():
        if time.monotonic() > deadline:
            print(f"Process {holder} has not ended within {_DOWN_TIMEOUT_S:g} s.", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print("Takt has stopped.")
    return 0


def _status(home: Home) -> int:
    """Print one line a part; the exit code says whether all of them live."""
    if not home.is_locked():
        print("Takt is not running.")
        return 1
    running = home.running()
    n_dead = 0
    for name, pid in sorted(running.items(), key=lambda part: SERVICES.index(part[0])):
        lives = processes.lives(pid)
        n_dead += not lives
        print(f"{name:10} {'running' if lives else 'dead':8} pid {pid:<8} {home.log_file(name)}")
    if address := home.environment().get("TAKT_BASE_URL"):
        print(f"address    {address}")
    return 1 if n_dead else 0


def _env(home: Home) -> int:
    """Print the variables for a shell: `eval "$(python -m infra.local env)"`."""
    for name, value in sorted(home.environment().items()):
        print(f"export {name}={shlex.quote(value)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
