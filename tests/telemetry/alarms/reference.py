"""A brute-force reference: asks every condition at every instant, looking back over all samples.

Slow and simple on purpose; it shares nothing with `telemetry.alarms.evaluation` but the tree.
Times are multiples of `step` milliseconds, samples and durations too.
"""

from collections.abc import Callable
from functools import cache

from telemetry.alarms import conditions as c

Points = list[tuple[int, float]]
Samples = dict[str, Points]
Answer = bool | None  # None: nobody knows


def episodes(
    condition: c.Condition, samples: Samples, *, hold_s: float, start: int, end: int, step: int
) -> list[tuple[int, int | None]]:
    """Return [raised, cleared) of every episode in [start, end)."""
    ask = _asker(samples, hold_ms=round(hold_s * 1000), start=start, step=step)
    found: list[tuple[int, int | None]] = []
    raised = None
    for at in range(start, end, step):
        answer = ask(condition, at)
        if answer is True and raised is None:
            raised = at
        elif answer is False and raised is not None:
            found.append((raised, at))
            raised = None
    return [*found, (raised, None)] if raised is not None else found


def _asker(
    samples: Samples, *, hold_ms: int, start: int, step: int
) -> Callable[[c.Condition, int], Answer]:
    @cache
    def ask(node: c.Condition, at: int) -> Answer:
        if at < start:
            return None
        match node:
            case c.Threshold(signal, limit):
                return judged(samples.get(signal, []), limit, at)
            case c.Rate(signal, limit, window_s, per):
                return judged(rates(signal, window_s, c.PER_S[per]), limit, at)
            case c.InState(signal, words):
                past = [one for one in samples.get(signal, []) if start <= one[0] <= at]
                if not past or at >= past[-1][0] + hold_ms:
                    return None
                return bool(past[-1][1]) in words
            case c.NoData(minutes, signal):
                heard = [t for t, _ in samples.get(signal, []) if start <= t <= at]
                return at >= max([start, *heard]) + minutes * 60_000
            case c.Duration(child, for_s):
                answer = ask(child, at)
                if answer is not True:
                    return answer
                begin = at
                while ask(child, begin - step) is True:
                    begin -= step
                return at - begin >= for_s * 1000
            case c.Repeat(child, times, within_s):
                first = max(start, at - round(within_s * 1000) + step)
                return sum(rises(child, t) for t in range(first, at + 1, step)) >= times
            case c.Not(child):
                answer = ask(child, at)
                return None if answer is None else not answer
            case c.AllOf(children):
                answers = [ask(child, at) for child in children]
                return False if False in answers else None if None in answers else True
            case c.AnyOf(children):
                answers = [ask(child, at) for child in children]
                return True if True in answers else None if None in answers else False

    def judged(points: Points, limit: c.Limit, at: int) -> Answer:
        past = [(t, v) for t, v in points if start <= t <= at]
        if not past or at >= past[-1][0] + hold_ms:
            return None
        is_on = False
        for _, value in past:
            is_on = is_beyond(value, limit) if not is_on else not is_well(value, limit)
        return is_on

    @cache
    def rates(signal: str, window_s: float, per_s: float) -> Points:
        points = [one for one in samples.get(signal, []) if one[0] >= start]
        found = []
        for t, v in points:
            past = [one for one in points if t - window_s * 1000 <= one[0] < t]
            if past:
                found.append((t, (v - past[0][1]) / (t - past[0][0]) * per_s * 1000))
        return found

    def rises(child: c.Condition, at: int) -> bool:
        if ask(child, at) is not True:
            return False
        before = at - step
        while before >= start and ask(child, before) is None:
            before -= step
        return ask(child, before) is not True

    return ask


def is_beyond(value: float, limit: c.Limit) -> bool:
    return {
        ">": value > limit.value,
        ">=": value >= limit.value,
        "<": value < limit.value,
        "<=": value <= limit.value,
        "outside": not limit.low <= value <= limit.high,
        "inside": limit.low <= value <= limit.high,
    }[limit.op]


def is_well(value: float, limit: c.Limit) -> bool:
    """Say whether an alarm that is on turns off."""
    return {
        ">": not value > limit.clear,
        ">=": not value >= limit.clear,
        "<": not value < limit.clear,
        "<=": not value <= limit.clear,
        "outside": limit.clear_low <= value <= limit.clear_high,
        "inside": not limit.clear_low <= value <= limit.clear_high,
    }[limit.op]
