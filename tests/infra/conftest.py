"""Installations of their own for tests that start, kill and starve real processes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local import processes
from infra.local.home import Home
from infra.local.service import REPOSITORY
from infra.local.stack import Stack

# Nothing of what the run of the tests itself has set, above all no DATABASE_URL.
CLEAN = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    """A folder that the database's user may enter, kept for all tests of a module."""
    folder = Path(tempfile.mkdtemp(prefix="takt-test-"))
    folder.chmod(0o755)
    yield folder / "var"
    processes.end_all(mark=f"{folder / 'var'}:", directories=[folder / "var/pg/data"], grace_s=0)
    shutil.rmtree(folder)


@pytest.fixture
def lines() -> list[str]:
    """What the stack has said."""
    return []


@pytest.fixture
def make_stack(var: Path, lines: list[str]) -> Iterator[Callable[..., Stack]]:
    """Return `make_stack(*services, **options)`; whatever it made is stopped at the end."""
    made: list[Stack] = []

    def make(*services: str, **options: Any) -> Stack:
        defaults: dict[str, Any] = {"var": var, "environ": CLEAN, "log": lines.append}
        stack = Stack(services=services or ["postgres", "valkey"], **(defaults | options))
        made.append(stack)
        return stack

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture
def launch(var: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return `launch(*arguments, **env)`: `python -m infra.local` as a person would start it."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.local", *arguments],
            env={**CLEAN, "TAKT_VAR": str(var), "PYTHONUNBUFFERED": "1"} | env,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    assert until(lambda: not Home(var).is_locked())


def our_processes(var: Path) -> set[int]:
    """Every process that belongs to the installation, whoever started it."""
    return processes.find(mark=f"{var}:", directories=[var / "pg/data"])


def until(claim: Callable[[], object], *, within_s: float = 15.0) -> bool:
    """Wait until the claim holds."""
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def wait_for_line(process: subprocess.Popen[str], text: str) -> str:
    """Read what the process prints up to the line with `text`."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} was never printed:\n{seen}")
