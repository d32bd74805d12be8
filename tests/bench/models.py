"""Models: how fast factories' trainings go through, what a worker grows by, what scoring costs."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from infra.local.application import Worker
from infra.local.home import Home
from infra.local.stack import Stack
from tests.bench.installation import cpu_s, installation

N_FACTORIES = 50
N_WARM = 10
N_MACHINES = 1000
N_STEPS = 60
WANTED = {"score_1000_cpu_s": "at most 10"}
_TRAINING_TIMEOUT_S = 600.0


def run() -> dict[str, float]:
    """Return what 50 factories' trainings take with one and with two processes, and the rest.

    `train_50_1worker_s` and `train_50_2workers_s` are from asking for the first training to the
    end of the last, through queue, S3 and MLflow, the worker started as an installation starts
    it and warm; each factory has 9 lives of about 60 steps and 3 signals and one model already,
    with which the new one is compared. `worker_rss_growth_mb` is what one worker process grows by
    from its 10th to its 100th training. `score_1000_cpu_s` is what the scoring process uses for
    1,000 machines with 60 readings each since they were put right, the model loaded;
    `score_1000_database_cpu_s` is what PostgreSQL uses meanwhile. `score_1000_again_cpu_s` is
    the same for machines that have done nothing since.
    """
    with installation("bench-models", services=("s3",)) as (stack, environment):
        environment |= stack.env
        os.environ.update(environment, TAKT_DB_POOL="0", DJANGO_SETTINGS_MODULE="config.settings")
        import django

        django.setup()
        return {**_scoring(stack), **_training(stack, environment)}


# -- training --------------------------------------------------------------------------------------


def _training(stack: Stack, environment: dict[str, str]) -> dict[str, float]:
    from tenants.models import Factory

    types = [(Factory.objects.get(pk=pk), type_id) for pk, type_id in _factories()]
    with _worker(environment, 1) as parent:
        _train(types[:N_WARM])
        (child,) = _children(parent)
        at_first_mb = _rss_mb(child)
        _train(types[N_WARM:])
        one_s = _train(types)
        if _children(parent) != [child]:
            raise RuntimeError("the worker process was replaced meanwhile")
        growth_mb = _rss_mb(child) - at_first_mb
    with _worker(environment, 2):
        _train(types[:4])
        two_s = _train(types)
    return {
        "train_50_1worker_s": one_s,
        "train_50_2workers_s": two_s,
        "worker_rss_growth_mb": growth_mb,
    }


def _factories() -> Iterator[tuple[int, UUID]]:
    """Make factories whose mills have worn out nine spindles."""
    from tenants import services
    from tenants.context import factory_context
    from tenants.models import FactoryLimits, User
    from tests.mlops import plant

    for n in range(N_FACTORIES):
        owner = User.objects.create_user(f"owner@mills-{n}.example")
        factory = services.create_factory(name=f"Mills {n}", owner=owner)
        FactoryLimits.objects.filter(factory=factory).update(max_machines=None)
        with factory_context(factory):
            kind = plant.mill_type()
            for i in range(3):
                plant.worn_out(plant.mill(f"Mill {i}", kind), lives=3, first_seed=10 * n + 3 * i)
        yield factory.pk, kind.pk


def _train(types: list[Any]) -> float:
    """Have models trained through the queue; return the seconds until the last is done."""
    from mlops import services
    from tenants.context import factory_context
    from tenants.models import Job

    started = time.perf_counter()
    ids = []
    for factory, type_id in types:
        with factory_context(factory):
            ids.append(services.request_training(subject_id=type_id, by=None).pk)
    jobs = Job.objects.filter(pk__in=ids)
    while jobs.filter(state__in=Job.OPEN_STATES).exists():
        if time.perf_counter() - started > _TRAINING_TIMEOUT_S:
            raise TimeoutError("the trainings did not end")
        time.sleep(0.05)
    took_s = time.perf_counter() - started
    for job in jobs.exclude(state=Job.State.DONE):
        raise RuntimeError(f"a training ended as {job.state}: {job.message} {job.error}")
    return took_s


@contextmanager
def _worker(environment: dict[str, str], n: int) -> Iterator[int]:
    """Run the installation's worker with `n` processes; yields the number of their parent."""
    var = Path(environment["TAKT_VAR"])
    command = Worker(Home(var)).command(environment)
    argv = list(command.argv)
    argv[argv.index("-c") + 1] = str(n)
    log_file = var / f"bench-worker-{n}.log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            argv, env=environment, cwd=command.cwd, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + Worker.start_timeout_s
        while Worker.says not in log_file.read_bytes():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker did not start:\n{log_file.read_text()[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)


def _children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in listed.split()]


def _rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the worker process has ended")


# -- scoring ---------------------------------------------------------------------------------------


def _scoring(stack: Stack) -> dict[str, float]:
    from mlops import services
    from tenants import services as tenants_services
    from tenants import storage
    from tenants.context import factory_context
    from tenants.models import FactoryLimits, User
    from tests.mlops import plant

    storage.ensure_bucket()
    owner = User.objects.create_user("owner@large.example")
    factory = tenants_services.create_factory(name="Large", owner=owner)
    FactoryLimits.objects.filter(factory=factory).update(max_machines=None)
    database = stack.pid("postgres")
    assert database is not None
    with factory_context(factory):
        kind, mills = plant.mills_with_history()
        services.train(subject_id=kind.pk, job_id=uuid4(), report=lambda *_: None)
        services.score_machines(machine_ids=[mills[0].pk], at=datetime.now(UTC))  # loads it
        ids = _fleet(kind)
        figures: dict[str, float] = {}
        for name in ("score_1000", "score_1000_again"):
            before, database_before = time.process_time(), cpu_s((database,))
            started = time.perf_counter()
            said = services.score_machines(machine_ids=ids, at=datetime.now(UTC))
            figures[f"{name}_cpu_s"] = time.process_time() - before
            figures[f"{name}_database_cpu_s"] = cpu_s((database,)) - database_before
            figures[f"{name}_s"] = time.perf_counter() - started
            n_told = sum(one.state == "ok" for one in said)
            if n_told != N_MACHINES:
                raise RuntimeError(f"only {n_told} of {N_MACHINES} machines were predicted")
    return figures


def _fleet(kind: Any) -> list[UUID]:
    """Make mills that have run since they came, each for 60 readings of three signals."""
    import numpy as np

    from production.models import Line, Machine
    from telemetry.models import Device, Keyset, Latest, ReadingHot, Signal, SignalKey
    from tests.mlops import plant
    from tests.mlops.wear import SIGNALS, worn_values

    line = Line.objects.order_by("pk")[0]
    machines = Machine.objects.bulk_create(
        Machine(name=f"M {i}", asset_tag=f"m-{i}", line=line, machine_type=kind, position=i)
        for i in range(N_MACHINES)
    )
    devices = Device.objects.bulk_create(Device(name=m.name, machine=m) for m in machines)
    keys = list(SignalKey.objects.filter(key__in=[*SIGNALS, plant.METER]).order_by("pk"))
    keyset = Keyset.objects.get(key_ids=[key.pk for key in keys])
    Signal.objects.bulk_create(
        Signal(device=d, key=k, label=k.key, first_seen_at=plant.START)
        for d in devices
        for k in keys
    )
    Latest.objects.bulk_create(Latest(device_id=d.pk, received_at=plant.START) for d in devices)
    chance = random.Random(4)
    for seed, device in enumerate(devices):
        values = worn_values(N_STEPS + chance.randrange(1, 60), seed)[:N_STEPS]
        meter = np.arange(1.0, N_STEPS + 1)
        columns = {**dict(zip(SIGNALS, values.T, strict=True)), plant.METER: meter}
        table = np.column_stack([columns[key.key] for key in keys]).tolist()
        ReadingHot.objects.bulk_create(
            ReadingHot(
                device_id=device.pk, ts=plant.START + timedelta(hours=i), keyset_id=keyset.pk,
                vals=row,
            )
            for i, row in enumerate(table)
        )  # fmt: skip
    return [machine.pk for machine in machines]
