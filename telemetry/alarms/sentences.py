"""Plain words for rules and alarms: deterministic, made of the rule and of what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass

from telemetry.alarms import conditions as c

_OVER = {">": "above", ">=": "at or above", "<": "under", "<=": "at or under"}


@dataclass(frozen=True, slots=True)
class Name:
    """What people call a signal, with its unit."""

    label: str
    unit: str = ""

    def value(self, value: float) -> str:
        return f"{figure(value)} {self.unit}".strip()


Names = Mapping[str, Name]


def figure(value: float) -> str:
    """Write a number with as many digits as people read: 4.6, 1,250, 0.013."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def length(seconds: float) -> str:
    """Write a length of time: 45 s, 3 min, 2 h 5 min, 3 days."""
    if seconds < 90:
        return f"{figure(round(seconds, 1))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"


def name_of(names: Names, key: str) -> Name:
    return names.get(key) or Name(key.replace("_", " "))


def describe(condition: c.Condition, names: Names) -> str:
    """Say what a condition watches for, as part of a sentence: "vibration above 4.5 mm/s"."""
    match condition:
        case c.Threshold(signal, limit):
            name = name_of(names, signal)
            return f"{_lower(name.label)} {_limit(limit, name)}"
        case c.Rate(signal, limit, window_s, per):
            name = name_of(names, signal)
            unit = Name(name.label, f"{name.unit or 'units'} per {per}")
            return f"change of {_lower(name.label)} {_limit(limit, unit)} over {length(window_s)}"
        case c.InState(signal, words):
            said = " or ".join(_word(word) for word in words)
            return f"{_lower(name_of(names, signal).label)} is {said}"
        case c.NoData(minutes, signal):
            of = f" of {_lower(name_of(names, signal).label)}" if signal else ""
            return f"no data{of} for {length(minutes * 60)}"
        case c.Duration(child, for_s):
            return f"{describe(child, names)} for {length(for_s)}"
        case c.Repeat(child, times, within_s):
            return f"{describe(child, names)} {times} times within {length(within_s)}"
        case c.Not(child):
            return f"not ({describe(child, names)})"
        case c.AllOf(children):
            return " and ".join(_inner(child, names) for child in children)
        case c.AnyOf(children):
            return " or ".join(_inner(child, names) for child in children)


def happened(
    condition: c.Condition,
    *,
    target: str,
    names: Names,
    lasted_s: float,
    is_on: bool,
    now: Mapping[str, float],
) -> str:
    """Say what is the matter with a target, since when, and how it stands.

    "Spindle vibration of Mill 3 has been above 4.5 mm/s for 3 min (now 5.1 mm/s)."
    """
    core = _core(condition)
    has = "has been" if is_on else "was"
    lasted = f"for {length(lasted_s)}"
    match core:
        case c.Threshold(signal, limit):
            name = name_of(names, signal)
            said = f"{name.label} of {target} {has} {_limit(limit, name)} {lasted}"
            if is_on and signal in now:
                said += f" (now {name.value(now[signal])})"
            return f"{said}."
        case c.NoData(_, signal):
            of = f" of {_lower(name_of(names, signal).label)}" if signal else ""
            verb = "has sent" if is_on else "sent"
            # What is missing began before the alarm did.
            silent_s = lasted_s + core.minutes * 60
            return f"{target} {verb} no data{of} for {length(silent_s)}."
        case c.InState(signal, _):
            what = describe(core, names).rpartition(" is ")[2]
            return f"{name_of(names, signal).label} of {target} {has} {what} {lasted}."
        case _:
            state = "is" if is_on else "was"
            return f"{target}: {describe(core, names)}. It {state} so {lasted}."


def _core(condition: c.Condition) -> c.Condition:
    """Leave out how long it had to hold: what is the matter is inside."""
    while isinstance(condition, c.Duration):
        condition = condition.condition
    return condition


def _limit(limit: c.Limit, name: Name) -> str:
    if limit.is_band:
        return f"{limit.op} {figure(limit.low)} to {name.value(limit.high)}"
    return f"{_OVER[limit.op]} {name.value(limit.value)}"


def _inner(condition: c.Condition, names: Names) -> str:
    text = describe(condition, names)
    return f"({text})" if isinstance(condition, (c.AllOf, c.AnyOf)) else text


def _lower(label: str) -> str:
    """Begin a label in lower case inside a sentence; abbreviations stay."""
    return label if len(label) > 1 and label[1].isupper() else label[:1].lower() + label[1:]


def _word(word: str | bool) -> str:
    return word if isinstance(word, str) else ("yes" if word else "no")
