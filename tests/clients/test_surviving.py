"""What takt-device took reaches the real Takt once, whatever is killed, cut or full meanwhile."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from takt_device import Client, NotQueued
from tests.bench.installation import ROOT
from tests.clients.endless import T0
from tests.clients.faults import road
from tests.clients.takt import Sender, Takt

pytestmark = [pytest.mark.resilience, pytest.mark.slow]

N_KILLS = 20
RECOVERY_S = 60.0
NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


@pytest.fixture
def make_client(takt: Takt, device: Sender, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(url: str = "", path: Path = tmp_path / "queue.db", **options) -> Client:
        made.append(Client(url or takt.url, device.token, path, ca_file=takt.ca_file, **options))
        return made[-1]

    yield make
    for each in made:
        each.close(0)


def readings(n: int) -> list[tuple[dict[str, float | int | bool | str], datetime]]:
    return [({"n": i}, NOON + timedelta(seconds=i)) for i in range(n)]


def numbers(takt: Takt, device: Sender) -> list[int]:
    return [int(values["n"]) for values in takt.stored(device).values()]


def test_killed_at_random_points_it_loses_doubles_and_makes_up_nothing(
    takt: Takt, device: Sender, make_client, tmp_path: Path
):
    chance = random.Random(20261117)
    ledger = tmp_path / "ledger.jsonl"
    ledger.touch()
    with road(takt, tls=False) as way:
        way.loses = 0.3  # and of all requests so many, or their answers
        for _ in range(N_KILLS):
            _, n_tried = _told(ledger)
            _live_and_die(way.url, device, takt, tmp_path, ledger, n_tried, chance)
        taken, n_tried = _told(ledger)
        survivor = make_client(way.url)
        assert survivor.flush(RECOVERY_S)
        report = survivor.report()

    stored = takt.stored(device)
    expected = {T0 + timedelta(seconds=n ^ 3): {"n": n, "even": n % 2 == 0} for n in range(n_tried)}
    got = {int(values["n"]) for values in stored.values()}
    assert len(taken) > N_KILLS
    assert way.n_lost > 0
    lost = taken - got
    phantom = [at for at, values in stored.items() if expected.get(at) != values]
    assert (lost, phantom) == (set(), [])
    assert report.accepted == report.sent == len(stored)
    assert report.stored + report.duplicates == len(stored)
    assert (report.queued, report.rejected, report.dropped, report.set_aside) == (0, {}, (), ())


def _live_and_die(
    url: str, device: Sender, takt: Takt, folder: Path, ledger: Path, n: int, chance: random.Random
) -> None:
    command = [sys.executable, "-m", "tests.clients.endless", url, device.token,
               str(folder / "queue.db"), str(takt.ca_file), str(ledger), str(n)]  # fmt: skip
    path = os.pathsep.join([str(ROOT), str(ROOT / "clients/python/src")])
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()


def _told(ledger: Path) -> tuple[set[int], int]:
    """Return what was taken, and how many were tried; the last line may be torn."""
    taken: set[int] = set()
    n_tried = 0
    for line in ledger.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if "sending" in entry:
            n_tried = max(n_tried, entry["sending"][1])
        else:
            taken.update(range(*entry["taken"]))
    return taken, n_tried


def test_a_server_that_is_away_is_waited_for(takt: Takt, device: Sender, make_client):
    sender = make_client()
    sender.send_many(readings(50))
    assert sender.flush(RECOVERY_S)

    takt.kill()
    for values, at in readings(100)[50:]:
        sender.send(values, at)
    assert sender.flush(1) is False
    assert "no answer" in sender.report().last_error
    takt.start()

    assert sender.flush(RECOVERY_S)
    assert numbers(takt, device) == list(range(100))
    assert sender.report().last_error == ""


def test_an_answer_lost_after_the_commit_stores_nothing_twice(
    takt: Takt, device: Sender, make_client
):
    with road(takt, tls=False) as way:
        way.ahead = ["answer lost"]
        sender = make_client(way.url, background=False, batch_size=40)
        sender.send_many(readings(100))
        assert sender.flush(0) is False
        assert numbers(takt, device) == list(range(40))
        sender.send({"n": 100}, NOON + timedelta(seconds=100))

        assert sender.flush(RECOVERY_S)

        report = sender.report()
    assert numbers(takt, device) == list(range(101))
    assert (report.stored, report.duplicates) == (61, 40)


def test_a_database_that_is_away_is_waited_for(takt: Takt, device: Sender, make_client):
    """The real 503 with its Retry-After."""
    sender = make_client(background=False)
    sender.send_many(readings(1))
    assert sender.flush(RECOVERY_S)
    os.kill(takt.stack.pid("postgres") or 0, signal.SIGQUIT)  # PostgreSQL's immediate stop
    sender.send_many(readings(10))

    assert sender.flush(0) is False
    assert sender.report().last_error.startswith("503")
    takt.stack.restart("postgres")

    assert sender.flush(RECOVERY_S)
    assert numbers(takt, device) == list(range(10))


def test_out_of_order_clocks_lose_nothing(takt: Takt, device: Sender, make_client):
    shuffled = readings(300)
    random.Random(3).shuffle(shuffled)
    sender = make_client()

    for values, at in shuffled:
        sender.send(values, at)

    assert sender.flush(RECOVERY_S)
    assert numbers(takt, device) == list(range(300))


def test_what_takt_refuses_is_told_by_reading(takt: Takt, device: Sender, make_client):
    sender = make_client()
    sender.send({"n": 1}, NOON)
    sender.send({"n": 2}, datetime.now(UTC) + timedelta(days=300))
    sender.send({"k" * 200: 3})

    assert sender.flush(RECOVERY_S)

    assert numbers(takt, device) == [1]
    report = sender.report()
    assert (report.stored, sum(report.rejected.values())) == (1, 2)
    assert sender.refused()[0].reading.endswith('{"n":2}}')
    assert report.clock_offset_s == pytest.approx(0, abs=1)


def test_what_a_bounded_queue_kept_is_stored_and_what_it_dropped_is_told(
    takt: Takt, device: Sender, make_client
):
    sender = make_client(background=False, max_readings=100)
    for values, at in readings(250):
        sender.send(values, at)

    assert sender.flush(RECOVERY_S)

    (dropped,) = sender.report().dropped
    assert numbers(takt, device) == list(range(150, 250))
    assert (dropped.n, dropped.last_at) == (150, NOON + timedelta(seconds=149))


def test_a_full_disk_loses_nothing_that_was_taken(
    takt: Takt, device: Sender, make_client, tmp_path: Path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        sender = make_client(path=disk / "queue.db", background=False)
        taken = 0
        with pytest.raises(NotQueued, match="full"):  # noqa: PT012  the last of many raises
            for values, at in readings(100_000):
                sender.send({**values, "text": "x" * 200}, at)
                taken += 1
        assert sender.report().accepted == taken > 50
        sender.close(0)
        subprocess.run([*mount[:1], "-o", "remount,size=8m", str(disk)], check=True)
        sender = make_client(path=disk / "queue.db", background=False)

        assert sender.flush(RECOVERY_S)

        assert numbers(takt, device) == list(range(taken))
        sender.close()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
