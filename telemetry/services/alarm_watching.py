"""Evaluates the rules of one factory on its stream of readings, pass by pass.

Stored readings are the truth and the lease the fence: a pass takes the lease, reads what changed,
evaluates, and writes alarms, checkpoints and how far it has seen in one transaction. So a watcher
may be killed at any moment, and two at once write everything once. What is kept in memory only
saves reading again; after any error it is thrown away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from telemetry.alarms import announcing
from telemetry.alarms.evaluation import Checkpoint, Episode
from telemetry.alarms.tracking import HOUR_MS, joined
from telemetry.models import Alarm, AlarmCheckpoint, AlarmRule
from telemetry.selectors import alarm_sources, latest_values, usage_changed_since
from telemetry.services import alarm_book, alarm_lease
from telemetry.services.alarm_book import Found, from_ms, to_ms
from telemetry.services.alarm_following import IN_MEMORY_MS, Followed, follow

# A change becomes visible at the end of its transaction (telemetry.selectors.usage).
OVERLAP = timedelta(seconds=60)
# Where nothing comes, time goes on so far behind the clock: what is under way comes first.
GRACE_MS = 3_000
# An hour that is being filled is read from its beginning so often, for what came out of order.
AGAIN_MS = 10_000
SOURCES_MS = 10_000
IDLE_MS = 1_000
# A long stretch is read in pieces, so that memory stays bounded.
PIECE_MS = 24 * HOUR_MS

Hour = tuple[int, int]  # device, start in ms


@dataclass
class Pass:
    """What one pass did; `changed` are ids of alarms."""

    n_rules: int = 0
    n_evaluated: int = 0
    changed: list[int] = field(default_factory=list)


class FactoryWatcher:
    """Follows every rule of the factory in whose schema it is called."""

    def __init__(self, *, holder: str) -> None:
        self._holder = holder
        self._followed: dict[int, Followed] = {}
        self._rules_seen: tuple[tuple[int, datetime], ...] = ()
        self._sources_at = 0
        self._again_at = 0
        self._figures: dict[Hour, tuple[int, int]] = {}
        self._owed: set[Hour] = set()
        self._newest: dict[int, int] = {}

    def run(self, *, at: datetime) -> Pass:
        """Bring the alarms of the factory up to date.

        Raises:
            NotMine: another watcher has it.
        """
        rules = list(AlarmRule.objects.filter(enabled=True).order_by("pk"))
        done = Pass(n_rules=len(rules))
        if not rules:
            self._followed.clear()
            return done
        with transaction.atomic():
            lease = alarm_lease.take(holder=self._holder, at=at)
            now = to_ms(at)
            seen = tuple((rule.pk, rule.changed_at) for rule in rules)
            if seen != self._rules_seen or now - self._sources_at >= SOURCES_MS:
                self._followed = follow(rules, self._followed)
                self._rules_seen, self._sources_at = seen, now
            changed = self._changes(asked=(lease.seen_until or at) - OVERLAP, now=now)
            self._evaluate(changed, at, done)
            if self._again_at == now:
                self._sound(at, done)
            lease.seen_until = at
            lease.save(update_fields=["seen_until"])
            if done.changed:
                announcing.tell_pages(sorted(set(done.changed)))
        return done

    def _changes(self, *, asked: datetime, now: int) -> dict[int, list[int]]:
        """Return from when on the readings of each device may have changed, in ms.

        In the hour that is being filled only what follows the newest reading is taken at first;
        the hour as a whole is owed, and comes a few seconds later.
        """
        changed: dict[int, list[int]] = {}
        figures: dict[Hour, tuple[int, int]] = {}
        for use in usage_changed_since(asked):
            hour = (use.device_id, to_ms(use.hour))
            figures[hour] = (use.n_readings, use.n_values)
            if self._figures.get(hour) == figures[hour]:
                continue
            newest = self._newest.get(use.device_id)
            if newest is not None and newest < hour[1] + HOUR_MS:
                self._owed.add(hour)
                changed.setdefault(use.device_id, []).append(max(newest + 1, hour[1]))
            else:
                changed.setdefault(use.device_id, []).append(hour[1])
        self._figures = figures
        if now - self._again_at >= AGAIN_MS:
            self._again_at = now
            for device_id, start in self._owed:
                changed.setdefault(device_id, []).append(start)
            self._owed.clear()
        return changed

    def _evaluate(self, changed: dict[int, list[int]], at: datetime, done: Pass) -> None:
        now = to_ms(at)
        for device_id, latest in latest_values(changed).items():
            if latest.ts is not None:
                self._newest[device_id] = to_ms(latest.ts)
        near: list[tuple[Followed, Checkpoint, int]] = []
        for one in self._followed.values():
            starts = [s for pk in one.wanted for s in one.changed_since(changed.get(pk, ()))]
            until = self._horizon(one, now)
            if not starts and until - one.track.tip.at < IDLE_MS:
                continue
            after = one.resume(min([one.track.tip.at, *starts]))
            if until <= after.at:
                continue
            done.n_evaluated += 1
            if until - after.at > IN_MEMORY_MS:
                settled = max(starts, default=after.at) + HOUR_MS
                self._catch_up(one, after, until, settled, at, done)
            else:
                near.append((one, after, until))
        if near:
            self._advance(near, at, done)

    def _horizon(self, one: Followed, now: int) -> int:
        """Return until when a point can be evaluated: its newest reading, or nearly now."""
        ends = [min(self._newest[pk], now) + 1 for pk in one.wanted if pk in self._newest]
        return max([one.track.tip.at, now - GRACE_MS, *ends])

    def _advance(
        self, near: list[tuple[Followed, Checkpoint, int]], at: datetime, done: Pass
    ) -> None:
        """Evaluate what is close to the present, reading each device once."""
        start, end = min(after.at for _, after, _ in near), max(until for *_, until in near)
        wanted = {
            device_id: keys
            for device_id, keys in _all_keys(one for one, *_ in near).items()
            if self._newest.get(device_id, start) >= start
        }
        read = alarm_sources.readings(wanted, start=from_ms(start), end=from_ms(end))
        for one, after, until in near:
            was_tip = after.at == one.track.tip.at
            series = read.series(one.target, one.keys)
            episodes = one.track.run(series, after=after, until=until)
            if one.has_news(episodes, after, was_tip=was_tip):
                found = Found(one.point, one.rule, one.target, episodes, after.at, until)
                done.changed += alarm_book.write(found, at=at)
            one.note(episodes, after.at)
            one.keep(after.at)

    def _catch_up(
        self,
        one: Followed,
        after: Checkpoint,
        until: int,
        settled: int,
        at: datetime,
        done: Pass,
    ) -> None:
        """Evaluate a long stretch piece by piece, as far as the past makes a difference.

        From `settled` on no reading has changed: where a checkpoint there is what it was before,
        so is everything after it.
        """
        rows = AlarmCheckpoint.objects.filter(point=one.point, at__gte=from_ms(settled))
        before = {to_ms(row.at): row.memory for row in rows}
        old, start = list(one.track.checkpoints), after
        episodes: list[Episode] = []
        while after.at < until:
            end = min((after.at + PIECE_MS) // HOUR_MS * HOUR_MS, until)
            read = alarm_sources.readings(one.wanted, start=from_ms(after.at), end=from_ms(end))
            series = read.series(one.target, one.keys)
            episodes = joined(episodes, one.track.run(series, after=after, until=end))
            after = one.track.tip
            if end in before and before[end] == after.as_json():
                break
        found = Found(one.point, one.rule, one.target, episodes, start.at, after.at)
        done.changed += alarm_book.write(found, at=at)
        one.keep(start.at)
        if after.at < until:
            one.track.checkpoints = old
        else:
            one.note(episodes, start.at)

    def _sound(self, at: datetime, done: Pass) -> None:
        """Let suppressed alarms be heard whose schedule has begun."""
        waiting = Alarm.objects.filter(
            cleared_at=None, sounded_at=None, withdrawn_at=None, point__in=list(self._followed)
        ).select_related("point__rule", "point__machine", "point__device")
        for row in waiting:
            one = self._followed[row.point_id]
            found = Found(one.point, one.rule, one.target, (), to_ms(row.raised_at), to_ms(at))
            if alarm_book.sound_suppressed(found, row, at=at):
                done.changed.append(row.pk)


def _all_keys(several: Iterable[Followed]) -> dict[int, set[str]]:
    wanted: dict[int, set[str]] = {}
    for one in several:
        for device_id, keys in one.wanted.items():
            wanted.setdefault(device_id, set()).update(keys)
    return wanted
