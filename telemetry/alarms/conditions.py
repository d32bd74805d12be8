"""What a rule watches for: a tree of conditions, and its form as JSON.

    {"all": [{"threshold": {"signal": "vib_rms_mm_s", "op": ">", "value": 4.5, "clear": 4.0}},
             {"not": {"state": {"signal": "execution", "in": ["STOPPED"]}}}]}

`telemetry.alarms.parsing` reads it; `as_json` writes the same tree in its one canonical form.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS = (">", ">=", "<", "<=")
BANDS = ("outside", "inside")
PER_S = {"s": 1.0, "min": 60.0, "h": 3600.0}
MAX_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Limit:
    """When a number is too much, and when it is well again (hysteresis).

    `low` and `high` belong to bands, `value` to comparisons; `clear...` are what must be passed
    on the way back, and default to the limit itself.
    """

    op: str
    value: float = 0.0
    clear: float = 0.0
    low: float = 0.0
    high: float = 0.0
    clear_low: float = 0.0
    clear_high: float = 0.0

    @property
    def is_band(self) -> bool:
        return self.op in BANDS


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number beyond a limit."""

    signal: str
    limit: Limit


@dataclass(frozen=True, slots=True)
class Rate:
    """A number that changes too fast: difference quotient over `window_s`, per s, min or h."""

    signal: str
    limit: Limit
    window_s: float
    per: str


@dataclass(frozen=True, slots=True)
class InState:
    """A text or a yes-or-no that is one of these; texts are compared without their case."""

    signal: str
    words: tuple[str | bool, ...]


@dataclass(frozen=True, slots=True)
class NoData:
    """Nothing came for so long: of one signal, or of the machine at all (`signal` empty)."""

    minutes: float
    signal: str = ""


@dataclass(frozen=True, slots=True)
class Duration:
    """A condition that holds without interruption for `for_s`."""

    condition: "Condition"
    for_s: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """A condition that became true `times` times within `within_s`."""

    condition: "Condition"
    times: int
    within_s: float


@dataclass(frozen=True, slots=True)
class Not:
    condition: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    conditions: tuple["Condition", ...]


Condition = Threshold | Rate | InState | NoData | Duration | Repeat | Not | AllOf | AnyOf


def walk(condition: Condition) -> Iterator[Condition]:
    """Yield a condition and everything below it, parents first."""
    yield condition
    if isinstance(condition, (AllOf, AnyOf)):
        for child in condition.conditions:
            yield from walk(child)
    elif isinstance(condition, (Not, Duration, Repeat)):
        yield from walk(condition.condition)


def signals(condition: Condition) -> list[str]:
    """Return the keys that a condition reads, in order; "" stands for any reading at all."""
    keys = (getattr(node, "signal", None) for node in walk(condition))
    return list(dict.fromkeys(key for key in keys if key is not None))


def as_json(condition: Condition) -> dict[str, Any]:
    """Return a condition as the JSON tree that `parse` reads."""
    match condition:
        case Threshold(signal, limit):
            return {"threshold": {"signal": signal, **_limit_json(limit)}}
        case Rate(signal, limit, window_s, per):
            body = {"signal": signal, "window_s": window_s, "per": per, **_limit_json(limit)}
            return {"rate": body}
        case InState(signal, words):
            return {"state": {"signal": signal, "in": list(words)}}
        case NoData(minutes, signal):
            return {"no_data": {"minutes": minutes, **({"signal": signal} if signal else {})}}
        case Duration(child, for_s):
            return {"duration": {"for_s": for_s, "condition": as_json(child)}}
        case Repeat(child, times, within_s):
            return {"repeat": {"times": times, "within_s": within_s, "condition": as_json(child)}}
        case Not(child):
            return {"not": as_json(child)}
        case AllOf(children):
            return {"all": [as_json(child) for child in children]}
        case AnyOf(children):
            return {"any": [as_json(child) for child in children]}


def _limit_json(limit: Limit) -> dict[str, Any]:
    band = ("op", "low", "high", "clear_low", "clear_high")
    return {name: getattr(limit, name) for name in (band if limit.is_band else _COMPARED)}


_COMPARED = ("op", "value", "clear")
