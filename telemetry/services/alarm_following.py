"""A rule on a target as the watcher follows it: what it reads, where it stands, what it keeps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Max

from telemetry.alarms import conditions, parsing
from telemetry.alarms.evaluation import Checkpoint, Episode, Watched, beginning
from telemetry.alarms.tracking import HOUR_MS, Track
from telemetry.models import Alarm, AlarmCheckpoint, AlarmPoint, AlarmRule
from telemetry.selectors import alarm_sources
from telemetry.selectors.alarm_sources import Target
from telemetry.services.alarm_book import from_ms, to_ms

IN_MEMORY_MS = 3 * HOUR_MS
KEPT_HOURLY_MS = 48 * HOUR_MS
KEPT_MS = 40 * 24 * HOUR_MS
_ON = 1 << 62


@dataclass
class Followed:
    """A rule on a target, followed.

    Attributes:
        busy_until: when the last alarm that is written down ended; far away while one is on.
    """

    rule: AlarmRule
    point: AlarmPoint
    target: Target
    track: Track
    keys: list[str]
    wanted: dict[int, set[str]]
    valid_from: int
    busy_until: int

    def resume(self, since: int) -> Checkpoint:
        """Return the newest checkpoint that a change at `since` leaves standing."""
        found = self.track.before(since)
        if found is not None:
            return found
        kept = AlarmCheckpoint.objects.filter(point=self.point, at__lte=from_ms(since))
        row = kept.order_by("-at").first()
        if row is not None:
            return Checkpoint.from_json(to_ms(row.at), row.memory)
        return beginning(self.track.watched, self.valid_from)

    def changed_since(self, starts: Iterable[int]) -> list[int]:
        """Return from when on changed hours concern this rule; those before it began do not."""
        since = self.valid_from
        return [max(start, since) for start in starts if start + HOUR_MS > since]

    def has_news(self, episodes: Sequence[Episode], after: Checkpoint, *, was_tip: bool) -> bool:
        """Say whether the alarms that are written down may differ from what was found."""
        if not episodes:
            return self.busy_until >= after.at
        first = episodes[0]
        goes_on = first.cleared_at is None and first.raised_at == after.raised_at
        return not (goes_on and was_tip)

    def note(self, episodes: Sequence[Episode], until: int) -> None:
        if not episodes:
            self.busy_until = min(self.busy_until, until - 1)
        else:
            end = episodes[-1].cleared_at
            self.busy_until = _ON if end is None else end

    def keep(self, since: int) -> None:
        """Write down the checkpoints at full hours that are new; thin out the old ones."""
        new = [c for c in self.track.checkpoints if c.at > since and c.at % HOUR_MS == 0]
        if new:
            kept = AlarmCheckpoint.objects.filter(point=self.point)
            kept.filter(at__gt=from_ms(since), at__lte=from_ms(new[-1].at)).delete()
            AlarmCheckpoint.objects.bulk_create(
                AlarmCheckpoint(point=self.point, at=from_ms(c.at), memory=c.as_json()) for c in new
            )
            tip = self.track.tip.at
            kept.filter(at__lt=from_ms(tip - KEPT_HOURLY_MS)).exclude(at__hour=0).delete()
            kept.filter(at__lt=from_ms(tip - KEPT_MS)).delete()
        self.track.forget(self.track.tip.at - IN_MEMORY_MS)


def follow(rules: Sequence[AlarmRule], before: dict[int, Followed]) -> dict[int, Followed]:
    """Return what is to be followed now, by point; what was followed already goes on."""
    everything = alarm_sources.targets()
    wanted = [
        (rule, target)
        for rule in rules
        for target in alarm_sources.targets_of(rule, everything)
        if target.device_ids
    ]
    ends = _busy_until()
    found: dict[int, Followed] = {}
    for rule, target, point in _points(wanted):
        known = before.get(point.pk)
        if known is not None and known.rule.version == rule.version:
            known.rule, known.target, known.point = rule, target, point
            known.wanted = target.needs(known.keys)
            found[point.pk] = known
        else:
            found[point.pk] = _followed(rule, target, point, ends.get(point.pk, 0))
    return found


def _followed(rule: AlarmRule, target: Target, point: AlarmPoint, busy_until: int) -> Followed:
    condition = parsing.parse(rule.condition)
    watched = Watched(condition, rule.hold_s)
    valid_from = to_ms(rule.valid_from)
    recent = AlarmCheckpoint.objects.filter(point=point).order_by("-at")[:3]
    checkpoints = [Checkpoint.from_json(to_ms(row.at), row.memory) for row in recent]
    track = Track(watched, checkpoints[::-1] or [beginning(watched, valid_from)])
    keys = conditions.signals(condition)
    return Followed(rule, point, target, track, keys, target.needs(keys), valid_from, busy_until)


def _points(
    wanted: Iterable[tuple[AlarmRule, Target]],
) -> list[tuple[AlarmRule, Target, AlarmPoint]]:
    known = {(p.rule_id, p.machine_id, p.device_id): p for p in AlarmPoint.objects.all()}
    found = []
    for rule, target in wanted:
        place = (rule.pk, target.machine_id, target.device_id)
        point = known.get(place) or AlarmPoint.objects.create(
            rule=rule, machine_id=target.machine_id, device_id=target.device_id
        )
        found.append((rule, target, point))
    return found


def _busy_until() -> dict[int, int]:
    standing = Alarm.objects.filter(withdrawn_at=None).order_by()
    on = standing.filter(cleared_at=None).values_list("point_id", flat=True)
    ended = standing.filter(cleared_at__isnull=False)
    ends = ended.values_list("point_id").annotate(Max("cleared_at"))
    return {pk: to_ms(at) for pk, at in ends} | dict.fromkeys(on, _ON)
