"""Rules of alarms: made, changed, switched off, carried as YAML. Every change is audited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils.text import slugify

from production import selectors as production_selectors
from telemetry.alarms import parsing, rulebook, schedule
from telemetry.alarms.conditions import MAX_S, as_json
from telemetry.alarms.rulebook import BadRulebook, RuleText
from telemetry.models import Alarm, AlarmCheckpoint, AlarmEvent, AlarmRule
from telemetry.selectors import alarms as selectors
from telemetry.services import alarm_book
from tenants import audit
from tenants.context import current_factory
from tenants.models import Membership, User

MAX_RULES = 1000
# A change of these is a new version: what is watched is no longer the same.
_WATCHED = frozenset(
    {"condition", "hold_s", "scope", "line_id", "machine_type_id", "machine_id", "enabled"}
)


class RuleExists(Exception):
    """Another rule of the factory has this key."""


class TooManyRules(Exception):
    """The factory has as many rules as one may have."""


class BadRule(ValueError):
    """A rule cannot be used; every reason by the path it is about."""

    def __init__(self, errors: dict[str, str]) -> None:
        super().__init__("; ".join(f"{path}: {text}" for path, text in errors.items()))
        self.errors = errors


def draft(*, fields: Mapping[str, Any], at: datetime) -> AlarmRule:
    """Return a rule that is not saved, to look at what it would do.

    Raises:
        BadRule: something in it is not right.
    """
    values = _checked({"schedule": {"kind": "always"}, "escalation": [], **fields})
    return AlarmRule(valid_from=at, created_at=at, changed_at=at, **values)


@transaction.atomic
def create_rule(
    *,
    fields: Mapping[str, Any],
    by: User | None,
    at: datetime,
    valid_from: datetime | None = None,
) -> AlarmRule:
    """Make a rule; it applies to what is measured from `valid_from` on (by default: from now).

    Args:
        fields: columns of `AlarmRule`; without a key, one is made of the name.

    Raises:
        BadRule: something in it is not right.
        RuleExists: a rule has this key.
        TooManyRules: the factory has too many.
    """
    values = _checked({"schedule": {"kind": "always"}, "escalation": [], **fields})
    if AlarmRule.objects.count() >= MAX_RULES:
        raise TooManyRules
    key = values.pop("key", "") or _free_key(values["name"])
    try:
        with transaction.atomic():
            rule = AlarmRule.objects.create(
                key=key, valid_from=valid_from or at, created_at=at, changed_at=at, changed_by=by,
                **values,
            )  # fmt: skip
    except IntegrityError as error:
        if AlarmRule.objects.filter(key=key).exists():
            raise RuleExists(key) from error
        raise
    _record("alarm_rule.created", rule, by, {"condition": rule.condition})
    return rule


@transaction.atomic
def change_rule(
    *, rule: AlarmRule, changes: Mapping[str, Any], by: User | None, at: datetime
) -> AlarmRule:
    """Change a rule. Where it watches something else from now on, its open alarms end.

    Raises:
        BadRule: something in it is not right.
    """
    whole = {name: getattr(rule, name) for name in _COLUMNS} | dict(changes)
    values = _checked(whole)
    changed = {name for name in values if getattr(rule, name) != values[name]}
    if not changed:
        return rule
    for name in changed:
        setattr(rule, name, values[name])
    rule.changed_at, rule.changed_by = at, by
    if changed & _WATCHED:
        rule.version += 1
        rule.valid_from = at
        end_alarms(rule, at=at, text="The rule was changed.")
        AlarmCheckpoint.objects.filter(point__rule=rule).delete()
    rule.save()
    detail = {"fields": sorted(changed), "version": rule.version}
    _record("alarm_rule.changed", rule, by, detail)
    return rule


@transaction.atomic
def delete_rule(*, rule: AlarmRule, by: User | None) -> None:
    """Delete a rule with the alarms that it raised; switching it off keeps them."""
    _record("alarm_rule.deleted", rule, by, {})
    rule.delete()


def end_alarms(rule: AlarmRule, *, at: datetime, text: str) -> None:
    """Clear what a rule has raised and is still on."""
    for row in Alarm.objects.filter(point__rule=rule, cleared_at=None, withdrawn_at=None):
        row.cleared_at = max(at, row.raised_at)
        row.save(update_fields=["cleared_at"])
        alarm_book.note(row, AlarmEvent.Kind.CLEARED, at=at, text=text)


_COLUMNS = (
    "name", "scope", "line_id", "machine_type_id", "machine_id", "severity", "condition",
    "schedule", "hold_s", "advice", "latched", "escalation", "enabled",
)  # fmt: skip


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Check what the columns alone cannot; conditions get their canonical form."""
    values = dict(fields)
    errors: dict[str, str] = {}
    try:
        values["condition"] = as_json(parsing.parse(values.get("condition")))
    except parsing.BadCondition as error:
        errors.update(_prefixed("condition", error.errors))
    try:
        values["schedule"] = schedule.as_json(schedule.parse(values.get("schedule")))
    except parsing.BadCondition as error:
        errors.update(error.errors)
    if not 1 <= values.get("hold_s", 1.0) <= MAX_S:  # NaN too
        errors["hold_s"] = f"Expected 1 to {MAX_S} seconds."
    _check_scope(values, errors)
    rulebook.check_escalation(values["escalation"], errors)
    if not errors:
        _check_people(values["escalation"], errors)
    if errors:
        raise BadRule(errors)
    return values


def _check_scope(values: Mapping[str, Any], errors: dict[str, str]) -> None:
    """Ask for exactly the object that the scope names."""
    scope = values.get("scope", AlarmRule.Scope.FACTORY)
    for name in ("line", "machine_type", "machine"):
        if (values.get(f"{name}_id") is not None) != (scope == name):
            said = "is needed" if scope == name else "does not go"
            errors[name] = f"It {said} with the scope {scope}."


def _prefixed(name: str, errors: Mapping[str, str]) -> dict[str, str]:
    return {
        path if path.split(".")[0] == name else f"{name}.{path}": text
        for path, text in errors.items()
    }


def _check_people(steps: Sequence[Mapping[str, Any]], errors: dict[str, str]) -> None:
    asked = {user_id for step in steps for user_id in step["user_ids"]}
    members = set(
        Membership.objects.filter(factory=current_factory(), user_id__in=asked).values_list(
            "user_id", flat=True
        )
    )
    for i, step in enumerate(steps):
        if unknown := sorted(set(step["user_ids"]) - members):
            errors[f"escalation[{i}].user_ids"] = f"No member has the id {unknown[0]}."


def _free_key(name: str) -> str:
    stem = slugify(name)[:50] or "rule"
    taken = set(AlarmRule.objects.filter(key__startswith=stem).values_list("key", flat=True))
    return next(key for n in range(MAX_RULES + 2) if (key := stem + f"-{n}" * (n > 0)) not in taken)


def _record(action: str, rule: AlarmRule, by: User | None, detail: dict[str, Any]) -> None:
    audit.record(
        action=action,
        actor=by,
        target=f"alarm_rule:{rule.pk}",
        detail={"key": rule.key, "name": rule.name, **detail},
        factory=current_factory(),
    )


# -- as text -------------------------------------------------------------------------------------
@dataclass
class Imported:
    """What an import did, or would do: keys of rules."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


def export_rules() -> str:
    """Return all rules as YAML."""
    return rulebook.write(_as_text(rule) for rule in selectors.rules().order_by("key"))


def _as_text(rule: AlarmRule) -> RuleText:
    target = rule.machine or rule.machine_type or rule.line
    code = "" if target is None else getattr(target, "asset_tag", "") or getattr(target, "code", "")
    names = ("key", "name", "scope", "severity", "condition", "schedule", "hold_s", "advice",
             "latched", "escalation", "enabled")  # fmt: skip
    return RuleText(target=code, **{name: getattr(rule, name) for name in names})


@transaction.atomic
def import_rules(*, text: str, by: User | None, at: datetime, dry_run: bool) -> Imported:
    """Bring rules in line with a text, by their keys; rules that it does not name stay.

    All or nothing; with `dry_run` nothing, and the answer says what would have been done.

    Raises:
        BadRulebook: a rule is not right, or names what this factory does not have.
        TooManyRules: the factory would have too many.
    """
    done = Imported()
    errors: list[dict[str, str]] = []
    known = {rule.key: rule for rule in selectors.rules()}
    places = _places()
    with transaction.atomic():
        for written in rulebook.read(text):
            try:
                _import_one(written, known.get(written.key), places, by, at, done)
            except BadRule as error:
                errors += [
                    {"rule": written.key, "path": path, "message": reason}
                    for path, reason in error.errors.items()
                ]
        if errors:
            raise BadRulebook(errors)
        if dry_run:
            transaction.set_rollback(True)
    return done


def _import_one(
    written: RuleText,
    known: AlarmRule | None,
    places: Mapping[tuple[str, str], UUID],
    by: User | None,
    at: datetime,
    done: Imported,
) -> None:
    fields: dict[str, Any] = {
        name: getattr(written, name) for name in _COLUMNS if "_id" not in name
    }
    fields |= {"line_id": None, "machine_type_id": None, "machine_id": None}
    if written.scope != AlarmRule.Scope.FACTORY:
        place = places.get((written.scope, written.target))
        if place is None:
            raise BadRule({f"scope.{written.scope}": f"{written.target} is not in this factory."})
        fields[f"{written.scope}_id"] = place
    if known is None:
        create_rule(fields={"key": written.key, **fields}, by=by, at=at)
        done.created.append(written.key)
        return
    before = known.changed_at
    change_rule(rule=known, changes=fields, by=by, at=at)
    (done.unchanged if known.changed_at == before else done.changed).append(written.key)


def _places() -> dict[tuple[str, str], UUID]:
    """Return what a rule may be about, by kind and code; a code that two lines share is none."""
    found: dict[tuple[str, str], UUID] = {}
    twice: set[tuple[str, str]] = set()
    rows = [("line", one.code, one.pk) for one in production_selectors.lines()]
    rows += [("machine_type", one.code, one.pk) for one in production_selectors.machine_types()]
    rows += [("machine", one.asset_tag, one.pk) for one in production_selectors.machines()]
    for kind, code, pk in rows:
        if (kind, code) in found:
            twice.add((kind, code))
        found[kind, code] = pk
    return {place: pk for place, pk in found.items() if place not in twice}
