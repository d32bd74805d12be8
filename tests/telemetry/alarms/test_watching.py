"""The watcher on real PostgreSQL: the stream, late data, a kill, two at once."""

import random
from datetime import timedelta

import pytest

from telemetry.models import Alarm, AlarmCheckpoint, AlarmWatch
from telemetry.services import alarm_lease
from telemetry.services import alarms as services
from telemetry.services.alarm_watching import FactoryWatcher
from tests.telemetry.alarms.conftest import HELD, kinds, times, values, watch

pytestmark = pytest.mark.slow
S = timedelta(seconds=1)


def test_an_alarm_is_raised_and_cleared_at_measured_times(mill, now):
    mill.rule(HELD)
    start = now - 60 * S
    watcher = FactoryWatcher(holder="test")

    mill.send(values(start, [1.0] * 5 + [5.0] * 20))
    watch(start + 25 * S, by=watcher)
    assert times() == [(start + 15 * S, None)]

    mill.send(values(start + 25 * S, [4.2] * 5 + [3.9] * 5))
    watch(start + 35 * S, by=watcher)
    assert times() == [(start + 15 * S, start + 30 * S)]
    assert kinds(Alarm.objects.get().pk) == ["raised", "cleared"]


def test_a_pass_without_news_writes_nothing(mill, now):
    mill.rule(HELD)
    mill.send(values(now - 60 * S, [5.0] * 30))
    watcher = FactoryWatcher(holder="test")
    first = watch(now - 30 * S, by=watcher)

    assert len(first) == 1
    assert watch(now - 29 * S, by=watcher) == []
    assert watch(now, by=watcher) == []
    assert watch(now) == []  # nor one that has just been started


def test_late_data_move_an_alarm_and_it_stays_acknowledged(mill, now):
    mill.rule(HELD)
    start = now - 120 * S
    mill.send(values(start + 10 * S, [5.0] * 30))
    watcher = FactoryWatcher(holder="test")
    watch(now - 80 * S, by=watcher)
    alarm = Alarm.objects.get()
    services.acknowledge(alarm=alarm, by=None, at=now, comment="On my way")

    mill.send(values(start, [5.0] * 10))
    watch(now, by=watcher)

    alarm.refresh_from_db()
    assert alarm.raised_at == start + 10 * S
    assert alarm.acknowledged_at == now
    assert kinds(alarm.pk) == ["raised", "acknowledged", "corrected"]


def test_late_data_that_undo_an_alarm_withdraw_it_visibly(mill, now):
    mill.rule(HELD)
    start = now - 120 * S
    watcher = FactoryWatcher(holder="test")
    mill.send(values(start, [5.0] * 3 + [5.0] * 3, every_s=4))
    watch(now - 90 * S, by=watcher)
    alarm = Alarm.objects.get()

    mill.send(values(start + 2 * S, [1.0] * 6, every_s=4))
    watch(now, by=watcher)

    alarm.refresh_from_db()
    assert alarm.withdrawn_at == now
    assert kinds(alarm.pk)[-1] == "withdrawn"
    assert times() == []


def test_silence_raises_by_the_clock_and_a_reading_clears(mill, now):
    mill.rule({"no_data": {"minutes": 1}}, valid_from=now - 400 * S)
    mill.send(values(now - 300 * S, [1.0] * 10))
    watcher = FactoryWatcher(holder="test")
    watch(now - 260 * S, by=watcher)
    before = times()

    watch(now - 200 * S, by=watcher)
    silent = times()
    mill.send(values(now - 100 * S, [1.0]))
    watch(now - 90 * S, by=watcher)

    # Before the first reading it was silent as well, from a minute after the rule began.
    first = (now - 340 * S, now - 300 * S)
    assert before == [first]
    assert silent == [first, (now - 231 * S, None)]
    assert times() == [first, (now - 231 * S, now - 100 * S)]


def test_watchers_killed_after_every_pass_find_what_one_finds(mill, now):
    mill.rule(HELD)
    numbers = [random.Random(7).choice([1.0, 4.2, 5.0, 5.0, 5.0]) for _ in range(300)]
    numbers[100:140] = [5.0] * 40
    start = now - 400 * S
    for i in range(0, 300, 50):
        mill.send(values(start + i * S, numbers[i : i + 50]))
        watch(start + (i + 50) * S)
        AlarmWatch.objects.update(until=start)  # as its lease runs out
    found = times()

    Alarm.objects.all().delete()
    AlarmCheckpoint.objects.all().delete()
    watch(now)

    assert found
    assert times() == found


def test_weeks_of_data_out_of_order_end_where_order_ends(mill, now):
    """Days come shuffled, so the past is evaluated again and again, and left early."""
    mill.rule(HELD, valid_from=now - timedelta(days=5))
    chance = random.Random(3)
    start = now - timedelta(days=4)
    days = [
        values(start + timedelta(days=day), [chance.choice([1.0, 5.0]) for _ in range(400)],
               every_s=200)
        for day in range(4)
    ]  # fmt: skip
    chance.shuffle(days)
    watcher = FactoryWatcher(holder="test")
    for i, day in enumerate(days):
        mill.send(day[::2], day[1::2])
        watch(now - (10 - i) * S, by=watcher)
    found = times()

    Alarm.objects.all().delete()
    AlarmCheckpoint.objects.all().delete()
    watch(now)

    assert len(found) > 100
    assert times() == found


def test_two_watchers_at_once_give_one_alarm(mill, now):
    mill.rule(HELD)
    one, other = FactoryWatcher(holder="one"), FactoryWatcher(holder="other")
    mill.send(values(now - 60 * S, [5.0] * 30))
    watch(now - 30 * S, by=one)

    with pytest.raises(alarm_lease.NotMine):
        watch(now - 30 * S, by=other)
    watch(now, by=other)  # the lease of the first has run out
    with pytest.raises(alarm_lease.NotMine):
        watch(now, by=one)

    assert Alarm.objects.count() == 1


def test_a_rule_applies_from_the_time_it_was_made(mill, now):
    mill.send(values(now - 60 * S, [5.0] * 30))
    mill.rule(HELD, valid_from=now - 40 * S)

    watch(now)

    assert times() == [(now - 30 * S, None)]
