"""Post what simulated machines have measured, each device under its own token.

A gateway that is offline keeps its readings and posts them, late, when it is back; so what is
posted first are the readings of those that were online, then the backlog.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.demo import noise
from config.demo.gateway import BATCH, Gateway, Row, Tally
from config.demo.noise import FloatArray, IntArray
from config.demo.plan import DAY_S
from config.demo.report import Report, Ticker
from config.demo.simulator import SimulatedMachine

MINUTE_MS = 60_000
N_GATEWAYS = 3  # at a time; more only wait for the same two cores
OUTAGES_PER_DAY = 0.08


@dataclass(frozen=True)
class Upload:
    """What one device has to post: a source of rows for times of measuring, in posting order."""

    token: str
    times_ms: IntArray
    measure: Callable[[IntArray], Sequence[Row]]


def outages(machine: SimulatedMachine, *, start: float, end: float) -> FloatArray:
    """List when the machine's gateway is offline: `(n, 2)` seconds, ascending."""
    spans = []
    if machine.spec.offline_min is not None:
        begin, stop = machine.spec.offline_min
        spans.append((machine.anchor + begin * 60, machine.anchor + stop * 60))
    days = np.arange(int(start // DAY_S) - 1, int(end // DAY_S) + 1)
    # One gateway serves several machines: they go silent together.
    draw = noise.stream(machine.seed, "gateway", machine.spec.gateway)
    is_bad = noise.uniform(draw, days) < OUTAGES_PER_DAY
    begins = days * DAY_S + noise.uniform(draw + 1, days) * DAY_S
    lengths = 900 + noise.uniform(draw + 2, days) * 3600
    # None around the first start: what is staged there shall be seen.
    calm = np.abs(begins - machine.anchor) > 6 * 3600
    chosen = is_bad & calm
    spans += list(zip(begins[chosen], (begins + lengths)[chosen], strict=True))
    return np.asarray(sorted(spans), dtype=np.float64).reshape(-1, 2)


def history_times(
    machine: SimulatedMachine, *, after_ms: int, now_ms: int, step_ms: int = MINUTE_MS
) -> IntArray:
    """Choose what to post of the time after `after_ms`: on time first, then the backlog.

    What is measured during an outage that has not ended by `now_ms` is not posted yet.
    """
    first = after_ms // step_ms * step_ms + step_ms
    times = np.arange(first, now_ms, step_ms, dtype=np.int64)
    late = np.zeros(len(times), dtype=bool)
    withheld = np.zeros(len(times), dtype=bool)
    for begin, end in outages(machine, start=first / 1000, end=now_ms / 1000):
        during = (times >= begin * 1000) & (times < end * 1000)
        late |= during & (end * 1000 <= now_ms)
        withheld |= during & (end * 1000 > now_ms)
    return np.concatenate([times[~late & ~withheld], times[late]])


def post_all(
    uploads: Sequence[Upload],
    *,
    base_url: str,
    ca_file: Path,
    report: Report,
    what: str,
    batch: int = BATCH,
) -> Tally:
    """Post everything over a few connections and return what became of it.

    Raises:
        gateway.Refused, gateway.FalseReceipt, gateway.Unreachable: from the first gateway that
            could not go on; the others stop after the batch at hand.
    """
    ticker = Ticker(report, what, sum(len(upload.times_ms) for upload in uploads))
    gateways = [Gateway(base_url=base_url, ca_file=ca_file) for _ in range(N_GATEWAYS)]
    idle: queue.SimpleQueue[Gateway] = queue.SimpleQueue()
    for gateway in gateways:
        idle.put(gateway)

    stopped = threading.Event()

    def post(upload: Upload) -> None:
        gateway = idle.get()
        try:
            for begin in range(0, len(upload.times_ms), batch):
                if stopped.is_set():
                    return
                times = upload.times_ms[begin : begin + batch]
                gateway.post(upload.measure(times), token=upload.token)
                ticker.add(len(times))
        finally:
            idle.put(gateway)

    with ThreadPoolExecutor(N_GATEWAYS, thread_name_prefix="gateway") as pool:
        futures = [pool.submit(post, upload) for upload in uploads]
        try:
            for future in as_completed(futures):
                future.result()
        finally:
            stopped.set()  # after the last result, or because of Ctrl-C or a gateway that gave up
            pool.shutdown(wait=True, cancel_futures=True)
    whole = Tally()
    for gateway in gateways:
        whole.add(gateway.tally)
        gateway.close()
    return whole
