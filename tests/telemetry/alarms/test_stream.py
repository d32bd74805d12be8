"""The process that watches: readings in at one end, an alarm out at the other."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from infra.local.service import REPOSITORY
from telemetry.models import Alarm, AlarmWatch
from tests.telemetry.alarms.conftest import ABOVE, HELD, values

pytestmark = [pytest.mark.slow, pytest.mark.chain, pytest.mark.resilience]
PROMISE_S = 2.0


def start() -> subprocess.Popen[str]:
    database = connection.settings_dict
    address = (
        f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}"
        f":{database['PORT']}/{database['NAME']}"
    )
    process = subprocess.Popen(
        [sys.executable, "manage.py", "watch_alarms"],
        env={**os.environ, "DATABASE_URL": address, "VALKEY_URL": settings.VALKEY_URL},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "Watching alarms." in process.stdout.readline()
    return process


@pytest.fixture
def watchers(inside: None) -> Iterator[list[subprocess.Popen[str]]]:
    """Two at once, as after a careless release."""
    started = [start(), start()]
    yield started
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()


def until(condition, *, within_s: float) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "nothing happened"
        time.sleep(0.02)
    return time.monotonic() - began


def test_an_alarm_stands_within_two_seconds_of_the_commit_and_once(make_mill, watchers):
    mill = make_mill()
    mill.rule(ABOVE)
    mill.send(values(timezone.now() - timedelta(seconds=30), [1.0]))
    until(lambda: AlarmWatch.objects.filter(seen_until__isnull=False).exists(), within_s=30)
    waits = []
    for n in range(5):
        time.sleep(0.5)
        mill.send(values(timezone.now(), [5.0]))
        waits.append(until(lambda n=n: Alarm.objects.count() == n + 1, within_s=20))
        mill.send(values(timezone.now(), [1.0]))
        until(lambda: not Alarm.objects.filter(cleared_at=None).exists(), within_s=20)

    print("seconds from commit to alarm:", [round(wait, 2) for wait in waits])
    assert sorted(waits)[len(waits) // 2] < PROMISE_S
    time.sleep(2)
    assert Alarm.objects.count() == 5


def test_a_killed_watcher_is_replaced_by_the_other(make_mill, watchers):
    mill = make_mill()
    mill.rule(HELD)
    mill.send(values(timezone.now() - timedelta(seconds=60), [1.0] * 8))
    until(lambda: AlarmWatch.objects.filter(seen_until__isnull=False).exists(), within_s=30)
    holder = AlarmWatch.objects.get().holder
    (victim,) = [one for one in watchers if f":{one.pid}:" in holder]

    victim.kill()
    mill.send(values(timezone.now() - timedelta(seconds=52), [5.0] * 30))

    until(lambda: Alarm.objects.count() == 1, within_s=30)
    assert AlarmWatch.objects.get().holder != holder
