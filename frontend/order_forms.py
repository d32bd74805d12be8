"""Forms of maintenance: reports, plans and parts; for courtesy, the services hold the rules."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django import forms

from frontend.formats import minor_units
from production.models import Machine, MachineType, MaintenancePlan, SparePart, StockMovement
from production.services import PartFields, PlanFields

SELECT = {"class": "form-select"}


def _input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({"class": "form-control", "autocomplete": "off", **attributes})


def _number(**attributes: Any) -> forms.NumberInput:
    return forms.NumberInput({"class": "form-control", "inputmode": "decimal", **attributes})


def _area(rows: int, **attributes: Any) -> forms.Textarea:
    return forms.Textarea({"class": "form-control", "rows": rows, **attributes})


class ReportForm(forms.Form):
    """What is wrong, on which machine, and how soon it matters."""

    machine = forms.ChoiceField(label="Machine", widget=forms.Select(SELECT))
    title = forms.CharField(
        label="What is wrong",
        max_length=120,
        help_text="A few words, as you would call it across the floor.",
        widget=_input(placeholder="Coolant leaks at the pump"),
    )
    reason = forms.CharField(label="More", required=False, max_length=2000, widget=_area(3))
    priority = forms.TypedChoiceField(
        label="How soon",
        coerce=int,
        initial=3,
        choices=[(1, "Now, it stands"), (2, "Today"), (3, "This week"), (4, "When there is time")],
        widget=forms.Select(SELECT),
    )
    request_id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, machines: Sequence[Machine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["machine"].choices = [(str(m.pk), m.name) for m in machines]  # type: ignore[attr-defined]

    def fields_of_order(self) -> dict[str, Any]:
        said = dict(self.cleaned_data)
        said["machine_id"] = UUID(said.pop("machine"))
        return said

    def first_error(self) -> str:
        for name, errors in self.errors.items():
            label = self.fields[name].label if name in self.fields else ""
            return f"{label}: {errors[0]}" if label else str(errors[0])
        return ""


class PlanForm(forms.Form):
    """What is done again and again, where, and by what it becomes due."""

    name = forms.CharField(
        label="What is done", max_length=120, widget=_input(placeholder="Grease the spindle")
    )
    place = forms.ChoiceField(label="On", widget=forms.Select(SELECT))
    kind = forms.ChoiceField(
        label="Kind", choices=MaintenancePlan.Kind.choices, widget=forms.Select(SELECT)
    )
    component = forms.CharField(label="Component", required=False, max_length=80, widget=_input())
    trigger = forms.ChoiceField(
        label="It is due", choices=MaintenancePlan.Trigger.choices, widget=forms.Select(SELECT)
    )
    every_days = forms.IntegerField(
        label="Days between", required=False, min_value=1, max_value=36_500, widget=_number()
    )
    first_due_on = forms.DateField(
        label="First time on",
        required=False,
        widget=forms.DateInput({"class": "form-control", "type": "date"}),
    )
    value_key = forms.CharField(
        label="Signal", required=False, max_length=128, widget=_input(placeholder="spindle_h")
    )
    value_unit = forms.CharField(
        label="Its unit", required=False, max_length=20, widget=_input(placeholder="h")
    )
    every_units = forms.FloatField(
        label="Units between", required=False, min_value=1e-9, max_value=1e15, widget=_number()
    )
    beyond = forms.ChoiceField(
        label="When it",
        required=False,
        choices=[("", "-"), *MaintenancePlan.Beyond.choices],
        widget=forms.Select(SELECT),
    )
    limit = forms.FloatField(label="Its limit", required=False, widget=_number(step="any"))
    lead_days = forms.IntegerField(
        label="Days ahead",
        initial=7,
        min_value=0,
        max_value=3_650,
        help_text="How long before its day the order is made, or how long there is to do it.",
        widget=_number(),
    )
    priority = forms.TypedChoiceField(
        label="How soon", coerce=int, initial=3, widget=forms.Select(SELECT),
        choices=[(1, "Now"), (2, "Today"), (3, "This week"), (4, "When there is time")],
    )  # fmt: skip
    instructions = forms.CharField(
        label="How it is done", required=False, max_length=2000, widget=_area(3)
    )
    checklist = forms.CharField(
        label="Checklist",
        required=False,
        max_length=12_000,
        help_text="One line a check. Where a value is to be read, put its unit in brackets:"
        " Play of the spindle [mm].",
        widget=_area(5),
    )
    parts = forms.CharField(
        label="Parts",
        required=False,
        max_length=4_000,
        help_text="One line a part: how many, and its number. 2 x 7014-CD.",
        widget=_area(2),
    )
    is_enabled = forms.BooleanField(label="In force", required=False, initial=True)

    def __init__(
        self, *args: Any, machines: Sequence[Machine], types: Sequence[MachineType],
        known: Sequence[SparePart], **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self._known = {part.part_no.casefold(): part for part in known}
        self.fields["place"].choices = [  # type: ignore[attr-defined]
            ("Machines", [(f"machine:{m.pk}", m.name) for m in machines]),
            ("All of a type", [(f"type:{t.pk}", f"Every {t.name}") for t in types]),
        ]

    def clean_checklist(self) -> list[tuple[str, str]]:
        lines = []
        for line in self.cleaned_data["checklist"].splitlines():
            text, _, rest = line.partition("[")
            lines.append((text.strip(), rest.partition("]")[0].strip()))
        return [(text, unit) for text, unit in lines if text]

    def clean_parts(self) -> dict[UUID, Decimal]:
        found: dict[UUID, Decimal] = {}
        for line in filter(None, map(str.strip, self.cleaned_data["parts"].splitlines())):
            count, _, number = line.partition(" ")
            number = number.strip().removeprefix("x ").strip()
            part = self._known.get(number.casefold())
            if part is None or not count.replace(",", ".").replace(".", "", 1).isdecimal():
                raise forms.ValidationError(f"{line}: no part has this number. Write 2 x its no.")
            found[part.pk] = Decimal(count.replace(",", "."))
        return found

    def plan_fields(self) -> PlanFields:
        said = dict(self.cleaned_data)
        where, _, pk = said.pop("place").partition(":")
        said["machine_id" if where == "machine" else "machine_type_id"] = UUID(pk)
        return PlanFields(**said)


def plan_initial(plan: MaintenancePlan) -> dict[str, Any]:
    """Return a plan as the form shows it."""
    said = {name: getattr(plan, name, None) for name in PlanForm.base_fields}
    said["place"] = (
        f"machine:{plan.machine_id}" if plan.machine_id else f"type:{plan.machine_type_id}"
    )
    said["checklist"] = "\n".join(
        f"{row['text']} [{row['unit']}]" if row.get("unit") else row["text"]
        for row in plan.checklist
    )
    said["parts"] = "\n".join(
        f"{row.quantity.normalize():f} x {row.part.part_no}" for row in plan.parts.all()
    )
    return said


class PartForm(forms.Form):
    """A spare part: what it is, how many to keep, what it costs."""

    part_no = forms.CharField(label="Part number", max_length=40, widget=_input())
    name = forms.CharField(label="Name", max_length=120, widget=_input())
    unit = forms.CharField(label="Unit", max_length=12, initial="pcs", widget=_input())
    min_quantity = forms.DecimalField(
        label="Least on the shelf", min_value=0, max_digits=9, decimal_places=2, initial=0,
        widget=_number(),
    )  # fmt: skip
    max_quantity = forms.DecimalField(
        label="Most", required=False, min_value=0, max_digits=9, decimal_places=2,
        widget=_number(),
    )  # fmt: skip
    lead_time_days = forms.IntegerField(
        label="Days until it comes", required=False, min_value=0, max_value=3_650,
        widget=_number(),
    )  # fmt: skip
    unit_cost = forms.DecimalField(
        label="Price of one", required=False, min_value=0, max_digits=11, decimal_places=2,
        widget=_number(),
    )  # fmt: skip
    machine_type = forms.ChoiceField(label="Fits", required=False, widget=forms.Select(SELECT))
    component = forms.CharField(label="Component", required=False, max_length=80, widget=_input())

    def __init__(
        self, *args: Any, types: Sequence[MachineType], currency: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._units = minor_units(currency)
        self.fields["unit_cost"].label = f"Price of one in {currency}"
        self.fields["machine_type"].choices = [  # type: ignore[attr-defined]
            ("", "Several machines"), *((str(t.pk), t.name) for t in types),
        ]  # fmt: skip

    def part_fields(self) -> PartFields:
        said = dict(self.cleaned_data)
        cost, kind = said.pop("unit_cost"), said.pop("machine_type")
        return PartFields(
            **said,
            unit_cost_minor=None if cost is None else int(cost * self._units),
            machine_type_id=UUID(kind) if kind else None,
        )


def part_initial(part: SparePart, *, currency: str) -> dict[str, Any]:
    said = {name: getattr(part, name, None) for name in PartForm.base_fields}
    said["machine_type"] = str(part.machine_type_id) if part.machine_type_id else ""
    cost = part.unit_cost_minor
    said["unit_cost"] = None if cost is None else Decimal(cost) / minor_units(currency)
    return said


class MovementForm(forms.Form):
    """What came, left or was counted."""

    reason = forms.ChoiceField(
        label="What happened",
        choices=[
            (StockMovement.Reason.RECEIPT.value, "Came in"),
            (StockMovement.Reason.SCRAP.value, "Thrown away"),
            (StockMovement.Reason.COUNT.value, "Counted: this many are there"),
        ],
        widget=forms.Select(SELECT),
    )
    quantity = forms.DecimalField(
        label="How many", min_value=0, max_digits=9, decimal_places=2, widget=_number()
    )
    note = forms.CharField(label="Note", required=False, max_length=200, widget=_input())
    request_id = forms.UUIDField(required=False, widget=forms.HiddenInput)
