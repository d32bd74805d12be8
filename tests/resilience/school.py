"""An installation whose factory trains models, with parts that a test may kill or stop."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from infra.local.stack import Stack
from tests.bench.installation import ROOT, installation, own_environment
from tests.resilience.crew import PATIENCE
from tests.resilience.learning import Learner

SCHEMA = "school"
# Above the lease of a job, which is let pass by setting the clock of its last sign of life back.
LEASE_S = 31
_POLL_S = 0.0005
_GATE = 20_261_127
_KEEP = """
CREATE OR REPLACE FUNCTION public.wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock_shared({gate}); RETURN NEW; END $$;
CREATE TRIGGER kept_at BEFORE UPDATE ON public.tenants_job FOR EACH ROW WHEN (
    OLD.task = 'mlops.train' AND OLD.state = 'running' AND starts_with(OLD.message, '{step}')
    AND (NEW.state <> OLD.state OR NOT starts_with(NEW.message, '{step}'))
) EXECUTE FUNCTION public.wait_at_the_gate()
"""


@dataclass
class School:
    """A factory with a history, a worker that learns, S3, and a database for MLflow alone."""

    stack: Stack
    book: Stack
    environment: dict[str, str]
    learner: Learner
    machine_type_id: str = ""

    def ask(self, what: str, **arguments: Any) -> Any:
        return self.learner.ask(what, schema=SCHEMA, **arguments)

    def train(self) -> str:
        job_id: str = self.ask("train", machine_type_id=self.machine_type_id)
        return job_id

    # -- jobs, read as fast as the database answers ----------------------------------------------

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self.environment["DATABASE_URL"], autocommit=True)

    def job(self, job_id: str) -> tuple[str, str, int, str]:
        """Return a job's state, message, number of attempts and error."""
        with self.connect() as connection:
            return self._job(connection, job_id)

    def _job(self, connection: Any, job_id: str) -> tuple[str, str, int, str]:
        row: tuple[str, str, int, str] = connection.execute(
            "SELECT state, message, n_attempts, error FROM public.tenants_job WHERE id = %s",
            [job_id],
        ).fetchone()
        return row

    def wait_for_step(self, job_id: str, step: str, *, at_most_s: float) -> str:
        """Wait until a job says that it is at a step, or has ended; return what it says."""
        deadline = time.monotonic() + at_most_s * PATIENCE
        with self.connect() as connection:
            while True:
                state, message, _, _ = self._job(connection, job_id)
                if message.startswith(step) or state not in ("queued", "running"):
                    return message
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not at {step!r}: {self._job(connection, job_id)}")
                time.sleep(_POLL_S)

    def wait_ended(self, job_id: str, *, at_most_s: float) -> str:
        """Wait until a job has ended; return its state."""
        deadline = time.monotonic() + at_most_s * PATIENCE
        while (found := self.job(job_id))[0] in ("queued", "running"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"has not ended: {found}")
            time.sleep(0.05)
        return found[0]

    def let_lease_pass(self, job_id: str) -> None:
        """Set a dead worker's last sign of life back, and have the job sent again."""
        with self.connect() as connection:
            connection.execute(
                "UPDATE public.tenants_job SET heartbeat_at = heartbeat_at - %s * interval '1 s'"
                " WHERE id = %s AND state = 'running'",
                [LEASE_S, job_id],
            )
        self.learner.ask("sweep")

    def let_delay_pass(self, task: str) -> int:
        """Have the waiting jobs of a task be due by now; the clock sends them again."""
        with self.connect() as connection:
            return connection.execute(
                "UPDATE public.tenants_job SET not_before = now() - interval '21 s'"
                " WHERE task = %s AND state = 'queued'",
                [task],
            ).rowcount

    @contextmanager
    def kept_at(self, step: str) -> Iterator[None]:
        """Let no training leave a step, however short it is; who waits to do so is let go unheard.

        A trigger has the report of what comes next wait for a lock, inside its own statement.
        """
        with self.connect() as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", [_GATE])
            connection.execute(_KEEP.format(gate=_GATE, step=step))
            try:
                yield
            finally:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
                    " WHERE locktype = 'advisory' AND objid = %s AND NOT granted",
                    [_GATE],
                )
                connection.execute("DROP TRIGGER kept_at ON public.tenants_job")

    # -- the worker ------------------------------------------------------------------------------

    def kill_child(self, _chance: random.Random) -> None:
        """kill -9 of the processes that do the work; their parent starts others."""
        parent = self.stack.pid("worker")
        assert parent is not None
        children = children_of(parent)
        # Stopped first: what one reports after the other's end would hide where it was.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in children:
                os.kill(pid, number)
        wait_until(lambda: not set(children) & set(children_of(parent)), at_most_s=30)

    def kill_parent(self, chance: random.Random) -> None:
        """kill -9 of their parent alone; somebody ends the orphans and starts it again."""
        parent = self.stack.pid("worker")
        assert parent is not None
        os.kill(parent, signal.SIGKILL)
        time.sleep(chance.uniform(0.0, 0.3))
        self.stack.restart("worker")


def children_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # ended meanwhile
                continue
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def wait_until(holds: Any, *, at_most_s: float) -> None:
    deadline = time.monotonic() + at_most_s * PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"does not hold after {at_most_s:g} s")
        time.sleep(0.02)


@contextmanager
def away(stack: Stack, service: str) -> Iterator[None]:
    """Stop a part for a while; afterwards it is started at the same address."""
    pid = stack.pid(service)
    assert pid is not None
    os.kill(pid, signal.SIGINT if service == "postgres" else signal.SIGTERM)
    wait_until(lambda: stack.pid(service) is None, at_most_s=30)
    try:
        yield
    finally:
        stack.restart(service)


@contextmanager
def _book(var: Path) -> Iterator[Stack]:
    """Start a database that holds MLflow's book alone, so that it can be away by itself."""
    shutil.rmtree(var, ignore_errors=True)
    stack = Stack(var=var, services=["postgres"], log=lambda _line: None, environ=own_environment())
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        shutil.rmtree(var, ignore_errors=True)


@contextmanager
def running_school() -> Iterator[School]:
    """Start everything, with a factory that has a history and no model yet."""
    var = Path(os.environ.get("TAKT_VAR") or ROOT / "var").resolve() / "installation-book"
    with _book(var) as book, installation("school", services=("s3",)) as (stack, environment):
        stack.env["MLFLOW_DATABASE_URL"] = book.env["MLFLOW_DATABASE_URL"]
        environment |= {**stack.env, "TAKT_DB_POOL": "0"}
        learner = Learner(environment)
        school = School(stack, book, environment, learner)
        try:
            school.machine_type_id = school.ask("found")
            stack.add("worker", "beat")
            yield school
        finally:
            learner.close()
