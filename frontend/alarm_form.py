"""The form of a rule, for people who have never seen a tree of conditions."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms

from frontend.alarm_words import BANDS, KINDS, SIGNAL_KINDS, condition_of, initial_of
from production import selectors as production_selectors
from telemetry.models import AlarmRule, Severity
from telemetry.selectors.alarm_sources import Target
from tenants.models import Membership

JOINS = (("", "That is all"), ("all", "and also"), ("any", "or else"))
SCHEDULES = (
    ("always", "At any time"),
    ("planned", "Only in planned time (shifts without breaks)"),
    ("unplanned", "Only outside planned time"),
    ("weekly", "Only at these times of the week"),
)
DAYS = tuple(zip("1234567", ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"), strict=True))


def _text(**attributes: Any) -> dict[str, Any]:
    return {"class": "form-control", **attributes}


def _number(label: str, *, help_text: str = "", **kwargs: Any) -> forms.FloatField:
    widget = forms.NumberInput(_text(step="any", inputmode="decimal"))
    return forms.FloatField(
        label=label, help_text=help_text, required=False, widget=widget, **kwargs
    )


def _choice(label: str, choices: Iterable[Any] = (), **kwargs: Any) -> forms.ChoiceField:
    widget = forms.Select({"class": "form-select"})
    return forms.ChoiceField(label=label, choices=list(choices), widget=widget, **kwargs)


class PartForm(forms.Form):
    """One condition: a signal, what it must not do, and for how long."""

    kind = _choice("What is watched for", KINDS)
    signal = _choice("Signal", required=False)
    value = _number("Limit")
    high = _number("Upper limit", help_text="For a band only.")
    clear = _number("Well again at", help_text="Left empty: at the limit itself.")
    words = forms.CharField(
        label="Values",
        required=False,
        max_length=500,
        help_text="Separated by commas. For yes or no: yes, no.",
        widget=forms.TextInput(_text(placeholder="STOPPED, INTERRUPTED")),
    )
    minutes = _number("For minutes", help_text="How long it must hold.", min_value=0)

    def __init__(self, *args: Any, signals: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["signal"].choices = [("", "Choose one"), *signals]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        kind = data.get("kind")
        if kind in SIGNAL_KINDS and not data.get("signal"):
            self.add_error("signal", "Choose a signal.")
        if kind in BANDS and data.get("high") is None:
            self.add_error("high", "Give the upper limit.")
        if kind == "state" and not data.get("words"):
            self.add_error("words", "Give at least one value.")
        if kind == "no_data" and not data.get("minutes"):
            self.add_error("minutes", "Say for how many minutes.")
        if kind not in ("state", "no_data") and data.get("value") is None:
            self.add_error("value", "Give a limit.")
        return data


class RuleForm(forms.Form):
    """Everything else about a rule."""

    name = forms.CharField(
        label="Name",
        max_length=120,
        help_text="What people read when it sounds.",
        widget=forms.TextInput(_text(autocomplete="off")),
    )
    scope = _choice("Watch")
    severity = _choice("How bad it is", Severity.choices, initial=Severity.MEDIUM)
    join = _choice("A second condition", JOINS, required=False)
    schedule = _choice("When it may sound", SCHEDULES, initial="always")
    days = forms.MultipleChoiceField(
        label="Days", choices=DAYS, required=False, widget=forms.CheckboxSelectMultiple
    )
    starts = forms.TimeField(
        label="From", required=False, widget=forms.TimeInput(_text(type="time"), format="%H:%M")
    )
    ends = forms.TimeField(
        label="To", required=False, widget=forms.TimeInput(_text(type="time"), format="%H:%M")
    )
    advice = forms.CharField(
        label="What usually helps",
        required=False,
        max_length=1000,
        widget=forms.Textarea(_text(rows=3)),
    )
    escalate_after = _number(
        "Tell more people after minutes", help_text="Where nobody has taken it.", min_value=1,
        max_value=10080,
    )  # fmt: skip
    people = forms.MultipleChoiceField(
        label="Who is told then",
        required=False,
        help_text="Nobody chosen: everybody who asked for alarms.",
        widget=forms.CheckboxSelectMultiple,
    )
    hold_minutes = _number(
        "A value counts for minutes",
        help_text="After that nobody knows, and the alarm stays as it is.",
        initial=5, min_value=0.1, max_value=10080,
    )  # fmt: skip
    latched = forms.BooleanField(
        label="Stays until a person resets it",
        required=False,
        widget=forms.CheckboxInput({"class": "form-check-input"}),
    )

    def __init__(self, *args: Any, members: Iterable[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = scopes()  # type: ignore[attr-defined]
        people = [(str(one.user_id), str(one.user)) for one in members]
        self.fields["people"].choices = people  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if data.get("schedule") == "weekly":
            for name in ("days", "starts", "ends"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, "Needed for times of the week.")
        return data

    def columns(self) -> dict[str, Any]:
        """Return the columns of a rule, but for its condition."""
        data = self.cleaned_data
        scope, _, pk = data["scope"].partition(":")
        columns: dict[str, Any] = {
            "name": data["name"],
            "scope": scope,
            "line_id": None,
            "machine_type_id": None,
            "machine_id": None,
            "severity": int(data["severity"]),
            "schedule": _schedule_of(data),
            "advice": data["advice"],
            "latched": data["latched"],
            "hold_s": (data["hold_minutes"] or 5) * 60,
            "escalation": [],
        }
        if pk:
            columns[f"{scope}_id"] = UUID(pk)
        if data["escalate_after"]:
            people = [int(user_id) for user_id in data["people"]]
            columns["escalation"] = [{"after_min": data["escalate_after"], "user_ids": people}]
        return columns


def _schedule_of(data: dict[str, Any]) -> dict[str, Any]:
    if data["schedule"] != "weekly":
        return {"kind": data["schedule"]}
    window = {
        "days": "".join(sorted(data["days"])),
        "from": data["starts"].strftime("%H:%M"),
        "to": data["ends"].strftime("%H:%M"),
    }
    return {"kind": "weekly", "windows": [window]}


def scopes() -> list[Any]:
    """Return what a rule may watch, grouped."""
    kinds = [(f"machine_type:{m.pk}", m.name) for m in production_selectors.machine_types()]
    lines = [(f"line:{m.pk}", m.name) for m in production_selectors.lines()]
    machines = [(f"machine:{m.pk}", m.name) for m in production_selectors.machines()]
    return [
        ("factory", "The whole factory"),
        *([("Kinds of machines", kinds)] if kinds else []),
        *([("Lines", lines)] if lines else []),
        *([("Machines", machines)] if machines else []),
    ]


def signal_choices(targets: Iterable[Target]) -> list[tuple[str, str]]:
    """Return every key that a target reports, with what people call it."""
    found: dict[str, str] = {}
    for target in targets:
        for key, source in target.sources.items():
            unit = f" ({source.name.unit})" if source.name.unit else ""
            found.setdefault(key, f"{source.name.label}{unit}")
    return sorted(found.items(), key=lambda one: one[1].casefold())


class RuleForms:
    """The form of a rule with its one or two conditions."""

    def __init__(
        self,
        data: Any = None,
        *,
        rule: AlarmRule | None,
        targets: Sequence[Target],
        members: Iterable[Membership],
    ) -> None:
        signals = signal_choices(targets)
        initial = initial_of(rule) if rule else {}
        parts = initial.pop("parts", [{}, {}])
        # A tree that this form cannot draw is kept as it is.
        self.keeps = rule.condition if rule is not None and parts is None else None
        self.rule = RuleForm(data, initial=initial, members=members)
        one, two = parts or [{}, {}]
        self.first = PartForm(data, prefix="one", initial=one, signals=signals)
        # Nothing is wrong with a second condition that nobody asked for.
        has_second = data is not None and data.get("join")
        self.second = PartForm(
            data if has_second else None, prefix="two", initial=two, signals=signals
        )

    @property
    def forms(self) -> list[forms.Form]:
        """Those that were filled in, to list what is wrong."""
        if self.keeps is not None:
            return [self.rule]
        has_second = bool(self.rule["join"].value())
        return [self.rule, self.first, *([self.second] if has_second else [])]

    def is_valid(self) -> bool:
        n_wrong = sum(not form.is_valid() for form in self.forms)  # every one says what is wrong
        return n_wrong == 0

    def fields(self) -> dict[str, Any]:
        """Return the columns of the rule that was filled in."""
        if self.keeps is not None:
            return {**self.rule.columns(), "condition": self.keeps}
        join = self.rule.cleaned_data["join"]
        tree = condition_of(self.first.cleaned_data)
        if join:
            tree = {join: [tree, condition_of(self.second.cleaned_data)]}
        return {**self.rule.columns(), "condition": tree}
