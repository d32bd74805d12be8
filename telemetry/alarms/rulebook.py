"""Rules as YAML, to keep, to review and to carry to another factory.

    takt_alarm_rules: 1
    rules:
      - key: spindle-vibration
        name: Spindle vibration
        scope: {machine_type: cnc-mill}
        severity: 3
        when: {duration: {for_s: 60, condition: {threshold: {signal: vib_rms_mm_s, ...}}}}

A rule is known by its key, targets by their codes, so that importing twice changes nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from telemetry.alarms import conditions, parsing, schedule
from telemetry.alarms.parsing import BadCondition

VERSION = 1
MAX_BYTES = 512 * 1024
MAX_RULES = 500
SCOPES = ("factory", "line", "machine_type", "machine")
_FIELDS = (
    "key", "name", "scope", "severity", "when", "schedule", "hold_s", "advice", "latched",
    "escalation", "enabled",
)  # fmt: skip


class BadRulebook(ValueError):
    """A text cannot be used as rules; each error with the rule and the path it is about."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


@dataclass(frozen=True)
class RuleText:
    """One rule as written: plain JSON values, checked but for what only a factory knows."""

    key: str
    name: str
    scope: str
    target: str
    severity: int
    condition: dict[str, Any]
    schedule: dict[str, Any] = field(default_factory=lambda: {"kind": "always"})
    hold_s: float = 300.0
    advice: str = ""
    latched: bool = False
    escalation: list[dict[str, Any]] = field(default_factory=list)
    enabled: bool = True


def write(rules: Iterable[RuleText]) -> str:
    """Return rules as text; `read` gives the same ones back."""
    listed = [
        {
            "key": rule.key,
            "name": rule.name,
            "scope": {rule.scope: rule.target or True},
            "severity": rule.severity,
            "when": rule.condition,
            "schedule": rule.schedule,
            "hold_s": rule.hold_s,
            "advice": rule.advice,
            "latched": rule.latched,
            "escalation": rule.escalation,
            "enabled": rule.enabled,
        }
        for rule in rules
    ]
    book = {"takt_alarm_rules": VERSION, "rules": listed}
    return yaml.safe_dump(book, sort_keys=False, allow_unicode=True)


def read(text: str) -> list[RuleText]:
    """Return the rules of a text.

    Raises:
        BadRulebook: it is no such text, or a rule in it is not right.
    """
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise BadRulebook([_error("", "", f"At most {MAX_BYTES // 1024} KB.")])
    try:
        # Aliases can make gigabytes of a few lines, and rules need none.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise BadRulebook([_error("", "", "Aliases (*name) are not allowed.")])
        book = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, BadRulebook):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        raise BadRulebook([_error("", where, "This is not YAML.")]) from error
    if not isinstance(book, dict) or book.get("takt_alarm_rules") != VERSION:
        raise BadRulebook([_error("", "takt_alarm_rules", f"Expected {VERSION}.")])
    listed = book.get("rules")
    if not isinstance(listed, list) or len(listed) > MAX_RULES:
        raise BadRulebook([_error("", "rules", f"Expected a list of up to {MAX_RULES} rules.")])
    errors: list[dict[str, str]] = []
    rules = [rule for i, item in enumerate(listed) if (rule := _rule(item, i, errors))]
    keys = [rule.key for rule in rules]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    errors += [_error(key, "key", "Two rules have this key.") for key in twice]
    if errors:
        raise BadRulebook(errors)
    return rules


def _error(rule: str, path: str, text: str) -> dict[str, str]:
    return {"rule": rule, "path": path, "message": text}


def _rule(item: Any, i: int, errors: list[dict[str, str]]) -> RuleText | None:
    if not isinstance(item, dict):
        errors.append(_error(f"rules[{i}]", "", "Expected an object."))
        return None
    label = item["key"] if isinstance(item.get("key"), str) else f"rules[{i}]"
    wrong: dict[str, str] = {}
    for name in item:
        if name not in _FIELDS:
            wrong[str(name)[:40]] = "Not known here."
    scope, target = _scope(item.get("scope"), wrong)
    condition = _parsed(parsing.parse, item.get("when"), "when", wrong)
    when = _parsed(schedule.parse, item.get("schedule", {"kind": "always"}), "", wrong)
    _check_plain(item, wrong)
    check_escalation(item.get("escalation", []), wrong)
    errors += [_error(label, path, text) for path, text in wrong.items()]
    if wrong:
        return None
    return RuleText(
        key=item["key"],
        name=item["name"].strip(),
        scope=scope,
        target=target,
        severity=item["severity"],
        condition=conditions.as_json(condition),
        schedule=schedule.as_json(when),
        hold_s=float(item.get("hold_s", 300.0)),
        advice=item.get("advice", ""),
        latched=item.get("latched", False),
        escalation=item.get("escalation", []),
        enabled=item.get("enabled", True),
    )


def _parsed(parse: Any, tree: Any, prefix: str, wrong: dict[str, str]) -> Any:
    try:
        return parse(tree)
    except BadCondition as error:
        for path, text in error.errors.items():
            wrong[f"{prefix}.{path}" if prefix else path] = text
        return None


def _scope(scope: Any, wrong: dict[str, str]) -> tuple[str, str]:
    if not isinstance(scope, dict) or len(scope) != 1 or next(iter(scope)) not in SCOPES:
        wrong["scope"] = "Expected {factory: true} or one of line, machine_type, machine."
        return "", ""
    kind, target = next(iter(scope.items()))
    if (target is not True) if kind == "factory" else not isinstance(target, str):
        wrong[f"scope.{kind}"] = "Expected true." if kind == "factory" else "Expected a code."
    return kind, "" if kind == "factory" else str(target)


def _check_plain(item: dict[Any, Any], wrong: dict[str, str]) -> None:
    key, name, advice = item.get("key"), item.get("name"), item.get("advice", "")
    letters = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
    if not isinstance(key, str) or not 0 < len(key) <= 60 or not set(key) <= letters:
        wrong["key"] = "Expected up to 60 small letters, digits, - and _."
    if not parsing.is_text(name, most=120):
        wrong["name"] = "Expected a text of 1 to 120 characters."
    if advice != "" and not parsing.is_text(advice, most=1000):
        wrong["advice"] = "Expected a text of up to 1000 characters."
    severity, hold_s = item.get("severity"), item.get("hold_s", 300.0)
    if isinstance(severity, bool) or severity not in (1, 2, 3, 4):
        wrong["severity"] = "Expected 1 (critical) to 4 (low)."
    is_number = isinstance(hold_s, (int, float)) and not isinstance(hold_s, bool)
    if not is_number or not 1 <= hold_s <= conditions.MAX_S:
        wrong["hold_s"] = f"Expected 1 to {conditions.MAX_S} seconds."
    for flag in ("latched", "enabled"):
        if not isinstance(item.get(flag, False), bool):
            wrong[flag] = "Expected true or false."


def check_escalation(steps: Any, wrong: dict[str, str]) -> None:
    """Check steps of escalation: [{"after_min": 10, "user_ids": [3]}], [] is everybody."""
    if not isinstance(steps, list) or len(steps) > 10:
        wrong["escalation"] = "Expected a list of up to 10 steps."
        return
    for i, step in enumerate(steps):
        path = f"escalation[{i}]"
        if not isinstance(step, dict) or set(step) != {"after_min", "user_ids"}:
            wrong[path] = "Expected {after_min: 10, user_ids: [3]}."
            continue
        after = step["after_min"]
        if (
            isinstance(after, bool)
            or not isinstance(after, (int, float))
            or not 1 <= after <= 10080
        ):
            wrong[f"{path}.after_min"] = "Expected 1 to 10080 minutes."
        ids = step["user_ids"]
        if not isinstance(ids, list) or not all(type(one) is int for one in ids):
            wrong[f"{path}.user_ids"] = "Expected a list of ids of people; empty is everybody."
