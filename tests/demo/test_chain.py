"""The whole chain on a whole installation, as `make demo ONCE=1` runs it, with one factory."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.demo.report import LINKS

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _free_port() -> int:
    """Find a port below the ephemeral ones, where nobody's outgoing connection lands on it."""
    for port in range(21_443, 32_000, 37):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no port is free")


@pytest.fixture
def demo(tmp_path_factory):
    var = tmp_path_factory.mktemp("demo")
    var.chmod(0o755)

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAKT_", "STRIPE_", "S3_", "MLFLOW_"))
            and name not in {"DATABASE_URL", "VALKEY_URL", "DJANGO_SETTINGS_MODULE"}
        }
        return subprocess.run(
            [sys.executable, "-m", "config.demo", *arguments],
            cwd=REPOSITORY,
            env={**inherited, "TAKT_VAR": str(var), "TAKT_BASE_URL": f"https://localhost:{_free_port()}",
                 **variables},
            capture_output=True,
            text=True,
            timeout=580,
            check=False,
        )  # fmt: skip

    return run


@pytest.mark.chain
@pytest.mark.slow
def test_every_link_of_the_chain_holds_and_has_its_figure(demo):
    ran = demo("--once", TAKT_DEMO_ONLY="globex")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    for link in LINKS:
        assert f"ok     {link}" in ran.stdout


def test_a_folder_that_cannot_be_replayed_is_refused_before_anything_starts(demo, tmp_path):
    ran = demo("--once", "--data", str(tmp_path))

    assert ran.returncode == 1
    assert "train_<set>" in ran.stderr
    assert "Starting" not in ran.stdout


def test_a_part_that_cannot_start_is_named(demo):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"https://localhost:{taken.getsockname()[1]}"
        ran = demo("--once", TAKT_BASE_URL=address)

    assert ran.returncode == 1
    assert "could not start. web: " in ran.stderr


def test_a_senseless_number_of_days_is_refused_by_name(demo):
    ran = demo("--once", TAKT_DEMO_DAYS="many")

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("TAKT_DEMO_DAYS")
