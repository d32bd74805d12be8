"""Reads conditions from JSON, strictly.

An unknown name, a missing one or a value that makes no sense is named by its path
("all[0].threshold.value"), and everything that is wrong is named at once.
"""

from typing import Any

from telemetry.alarms.conditions import (
    BANDS,
    COMPARISONS,
    MAX_S,
    PER_S,
    AllOf,
    AnyOf,
    Condition,
    Duration,
    InState,
    Limit,
    NoData,
    Not,
    Rate,
    Repeat,
    Threshold,
)

MAX_NODES = 20
MAX_DEPTH = 6
MAX_WINDOW_S = 3600
MAX_TIMES = 1000
MAX_WORDS = 50
MAX_KEY = 128
MAX_TEXT = 200


class BadCondition(ValueError):
    """A tree of conditions cannot be used; every reason with the path of what it is about."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in errors.items()))
        self.errors = errors


def is_text(value: Any, *, most: int) -> bool:
    """Say whether something is a text that the database can keep."""
    if not isinstance(value, str) or not len(value.strip()) > 0 or len(value) > most:
        return False
    return "\0" not in value and not any("\ud800" <= letter <= "\udfff" for letter in value)


def parse(tree: Any) -> Condition:
    """Return the condition that a JSON tree describes.

    Raises:
        BadCondition: something in it is not right; everything that is wrong is named.
    """
    reader = _Reader()
    condition = reader.condition(tree, "", 1)
    if reader.n_nodes > MAX_NODES:
        reader.errors[""] = f"At most {MAX_NODES} conditions in one rule."
    if reader.errors or condition is None:
        raise BadCondition({path or "condition": text for path, text in reader.errors.items()})
    return condition


class _Reader:
    """Reads a tree and collects what is wrong with it."""

    def __init__(self) -> None:
        self.errors: dict[str, str] = {}
        self.n_nodes = 0

    def condition(self, tree: Any, path: str, depth: int) -> Condition | None:
        self.n_nodes += 1
        if self.n_nodes > MAX_NODES:
            return None
        if depth > MAX_DEPTH:
            self._refuse(path, f"At most {MAX_DEPTH} levels.")
            return None
        if not isinstance(tree, dict) or len(tree) != 1:
            names = ", ".join(_KINDS)
            self._refuse(path, f"Expected an object with one of: {names}.")
            return None
        kind, body = next(iter(tree.items()))
        if kind not in _KINDS:
            self._refuse(path, f"{_short(kind)} is no condition; use {', '.join(_KINDS)}.")
            return None
        inner = f"{path}.{kind}" if path else kind
        if kind in ("all", "any"):
            return self._several(kind, body, inner, depth)
        if kind == "not":
            child = self.condition(body, inner, depth + 1)
            return None if child is None else Not(child)
        if not isinstance(body, dict):
            self._refuse(inner, "Expected an object.")
            return None
        made: Condition | None = getattr(self, f"_{kind}")(body, inner, depth)
        return made

    def _refuse(self, path: str, text: str) -> None:
        self.errors.setdefault(path, text)

    def _several(self, kind: str, body: Any, path: str, depth: int) -> Condition | None:
        if not isinstance(body, list) or not body:
            self._refuse(path, "Expected a list with at least one condition.")
            return None
        made = [self.condition(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(body)]
        children = tuple(child for child in made if child is not None)
        if len(children) != len(made):
            return None
        return AllOf(children) if kind == "all" else AnyOf(children)

    def _threshold(self, body: dict[str, Any], path: str, _depth: int) -> Condition | None:
        signal = self._signal(body, path)
        limit = self._limit(body, path, allowed=("signal",))
        return Threshold(signal, limit) if signal and limit else None

    def _rate(self, body: dict[str, Any], path: str, _depth: int) -> Condition | None:
        signal = self._signal(body, path)
        window_s = self._number(body, path, "window_s", low=1, high=MAX_WINDOW_S)
        per = body.get("per", "min")
        if per not in PER_S:
            self._refuse(f"{path}.per", "Expected s, min or h.")
        limit = self._limit(body, path, allowed=("signal", "window_s", "per"))
        if not signal or limit is None or window_s is None or per not in PER_S:
            return None
        return Rate(signal, limit, window_s, per)

    def _state(self, body: dict[str, Any], path: str, _depth: int) -> Condition | None:
        self._only(body, path, ("signal", "in"))
        signal = self._signal(body, path)
        words = body.get("in")
        if not isinstance(words, list) or not 1 <= len(words) <= MAX_WORDS:
            self._refuse(f"{path}.in", f"Expected a list of 1 to {MAX_WORDS} values.")
            return None
        for i, word in enumerate(words):
            if not isinstance(word, bool) and not is_text(word, most=MAX_TEXT):
                self._refuse(f"{path}.in[{i}]", "Expected a text, true or false.")
        if not signal or any(key.startswith(f"{path}.in") for key in self.errors):
            return None
        return InState(signal, tuple(w if isinstance(w, bool) else w.strip() for w in words))

    def _no_data(self, body: dict[str, Any], path: str, _depth: int) -> Condition | None:
        self._only(body, path, ("minutes", "signal"))
        minutes = self._number(body, path, "minutes", low=0.1, high=MAX_S / 60)
        signal = self._signal(body, path) if "signal" in body else ""
        return None if minutes is None or signal is None else NoData(minutes, signal)

    def _duration(self, body: dict[str, Any], path: str, depth: int) -> Condition | None:
        self._only(body, path, ("for_s", "condition"))
        for_s = self._number(body, path, "for_s", low=0.001, high=MAX_S)
        child = self.condition(body.get("condition"), f"{path}.condition", depth + 1)
        return None if for_s is None or child is None else Duration(child, for_s)

    def _repeat(self, body: dict[str, Any], path: str, depth: int) -> Condition | None:
        self._only(body, path, ("times", "within_s", "condition"))
        times = self._number(body, path, "times", low=2, high=MAX_TIMES)
        if times is not None and times != int(times):
            self._refuse(f"{path}.times", "Expected a whole number.")
        within_s = self._number(body, path, "within_s", low=1, high=MAX_S)
        child = self.condition(body.get("condition"), f"{path}.condition", depth + 1)
        if times is None or within_s is None or child is None:
            return None
        return Repeat(child, int(times), within_s)

    def _limit(self, body: dict[str, Any], path: str, *, allowed: tuple[str, ...]) -> Limit | None:
        op = body.get("op")
        if op in BANDS:
            self._only(body, path, (*allowed, "op", "low", "high", "clear_low", "clear_high"))
            return self._band(op, body, path)
        if op not in COMPARISONS:
            self._refuse(f"{path}.op", f"Expected one of {' '.join(COMPARISONS + BANDS)}.")
            return None
        self._only(body, path, (*allowed, "op", "value", "clear"))
        value = self._number(body, path, "value")
        clear = self._number(body, path, "clear") if "clear" in body else value
        if value is None or clear is None:
            return None
        if (clear > value) if op.startswith(">") else (clear < value):
            side = "above" if op.startswith(">") else "below"
            self._refuse(f"{path}.clear", f"Must not lie {side} the value.")
            return None
        return Limit(op, value=value, clear=clear)

    def _band(self, op: str, body: dict[str, Any], path: str) -> Limit | None:
        low, high = self._number(body, path, "low"), self._number(body, path, "high")
        if low is None or high is None:
            return None
        clear_low = self._number(body, path, "clear_low") if "clear_low" in body else low
        clear_high = self._number(body, path, "clear_high") if "clear_high" in body else high
        if clear_low is None or clear_high is None:
            return None
        if low >= high:
            self._refuse(f"{path}.high", "Must lie above low.")
            return None
        if op == "outside" and not low <= clear_low < clear_high <= high:
            self._refuse(f"{path}.clear_low", "Must lie within the band.")
            return None
        if op == "inside" and not clear_low <= low < high <= clear_high:
            self._refuse(f"{path}.clear_low", "Must lie around the band.")
            return None
        return Limit(op, low=low, high=high, clear_low=clear_low, clear_high=clear_high)

    def _signal(self, body: dict[str, Any], path: str) -> str | None:
        key = body.get("signal")
        if not is_text(key, most=MAX_KEY):
            self._refuse(f"{path}.signal", "Expected the key of a signal.")
            return None
        return key

    def _number(
        self,
        body: dict[str, Any],
        path: str,
        name: str,
        *,
        low: float = -1e300,
        high: float = 1e300,
    ) -> float | None:
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._refuse(f"{path}.{name}", "Expected a number.")
            return None
        if not low <= value <= high:  # NaN too
            self._refuse(f"{path}.{name}", f"Expected {low:g} to {high:g}.")
            return None
        return float(value)

    def _only(self, body: dict[str, Any], path: str, names: tuple[str, ...]) -> None:
        for name in body:
            if name not in names:
                self._refuse(f"{path}.{_short(name)}", f"Not known here; use {', '.join(names)}.")


_KINDS = ("threshold", "rate", "state", "no_data", "duration", "repeat", "all", "any", "not")


def _short(name: Any) -> str:
    return str(name)[:40]
