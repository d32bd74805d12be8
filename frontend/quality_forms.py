"""Forms of quality: plans, inspections by hand, verdicts, decisions, lots.

They are for courtesy; the services hold the rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.utils import timezone

from frontend.formats import minor_units
from frontend.order_forms import SELECT
from production.models import (
    Characteristic,
    DefectType,
    InspectionPlan,
    Lot,
    Nonconformance,
    Product,
    Verdict,
)
from production.services import (
    CharacteristicFields,
    InspectionPlanFields,
    Measured,
)

MAX_COST = 10**10
N_SPARE_ROWS = 4


def _input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({"class": "form-control", "autocomplete": "off", **attributes})


def _number(**attributes: Any) -> forms.NumberInput:
    return forms.NumberInput(
        {"class": "form-control", "inputmode": "decimal", "step": "any", **attributes}
    )


def _area(rows: int) -> forms.Textarea:
    return forms.Textarea({"class": "form-control", "rows": rows})


def _cost(label: str, **options: Any) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, min_value=0, max_value=MAX_COST, decimal_places=2,
        widget=_number(), **options,
    )  # fmt: skip


def minor(value: Decimal | None, currency: str) -> int | None:
    """Return an amount that somebody typed in minor units."""
    return None if value is None else int(value * minor_units(currency))


class PlanForm(forms.Form):
    """What is looked at, how often, and what mistakes cost."""

    product = forms.ChoiceField(label="Product", required=False, widget=forms.Select(SELECT))
    item_no = forms.CharField(
        label="Or a new one: its number", required=False, max_length=40, widget=_input()
    )
    item_name = forms.CharField(
        label="And its name", required=False, max_length=120, widget=_input()
    )
    name = forms.CharField(
        label="Name of the plan", max_length=80, widget=_input(placeholder="After milling")
    )
    operation = forms.CharField(
        label="After the operation",
        required=False,
        max_length=60,
        help_text="As your runs name it. Empty: of the finished lot.",
        widget=_input(placeholder="20 milling"),
    )
    sampling = forms.ChoiceField(
        label="How often", choices=InspectionPlan.Sampling.choices, widget=forms.Select(SELECT)
    )
    sample_n = forms.IntegerField(
        label="Number",
        initial=1,
        min_value=1,
        max_value=1_000_000,
        help_text="Every so many parts, so many parts of a lot, or minutes.",
        widget=_number(step="1"),
    )
    acceptance_number = forms.IntegerField(
        label="Defective parts accepted",
        initial=0,
        min_value=0,
        max_value=1_000_000,
        help_text="With more of them a lot is held.",
        widget=_number(step="1"),
    )
    escape_cost = _cost("A defective part that leaves costs")
    false_reject_cost = _cost("A good part that is refused costs")
    instructions = forms.CharField(
        label="How it is done", required=False, max_length=2000, widget=_area(3)
    )

    def __init__(
        self, *args: Any, products: Sequence[Product], currency: str, is_new: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._currency = currency
        for name in ("escape_cost", "false_reject_cost"):
            self.fields[name].label = f"{self.fields[name].label}, {currency}"
        if is_new:
            choices = [(str(p.pk), str(p)) for p in products]
            self.fields["product"].choices = [("", "-"), *choices]  # type: ignore[attr-defined]
        else:
            for name in ("product", "item_no", "item_name"):
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        is_new = said.get("item_no") and said.get("item_name")
        if "product" in self.fields and not said.get("product") and not is_new:
            self.add_error("product", "Choose a product, or give the number and name of one.")
        return said

    def plan_fields(self, rows: Sequence[CharacteristicFields]) -> InspectionPlanFields:
        said = self.cleaned_data
        return InspectionPlanFields(
            name=said["name"], operation=said["operation"], instructions=said["instructions"],
            sampling=said["sampling"], sample_n=said["sample_n"],
            acceptance_number=said["acceptance_number"],
            escape_cost_minor=minor(said["escape_cost"], self._currency),
            false_reject_cost_minor=minor(said["false_reject_cost"], self._currency),
            characteristics=tuple(rows),
        )  # fmt: skip


def plan_initial(plan: InspectionPlan, *, currency: str) -> dict[str, Any]:
    """Return a plan as the form shows it."""
    names = ("name", "operation", "sampling", "sample_n", "acceptance_number", "instructions")
    said = {name: getattr(plan, name) for name in names}
    for name in ("escape_cost", "false_reject_cost"):
        cost = getattr(plan, f"{name}_minor")
        said[name] = None if cost is None else Decimal(cost) / minor_units(currency)
    return said


class CharacteristicForm(forms.Form):
    """One line of a plan; without a name it is left out."""

    name = forms.CharField(label="What", required=False, max_length=80, widget=_input())
    kind = forms.ChoiceField(
        label="How", choices=Characteristic.Kind.choices, widget=forms.Select(SELECT)
    )
    unit = forms.CharField(label="Unit", required=False, max_length=20, widget=_input())
    lower_limit = forms.FloatField(label="At least", required=False, widget=_number())
    upper_limit = forms.FloatField(label="At most", required=False, widget=_number())
    nominal = forms.FloatField(label="Aimed at", required=False, widget=_number())
    gauge = forms.CharField(label="Gauge", required=False, max_length=80, widget=_input())
    defect = forms.ChoiceField(label="Defect", required=False, widget=forms.Select(SELECT))

    def __init__(self, *args: Any, defects: Sequence[DefectType], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(row.code, row.name) for row in defects]
        self.fields["defect"].choices = [("", "-"), *choices]  # type: ignore[attr-defined]


CharacteristicFormSet = forms.formset_factory(
    CharacteristicForm, extra=N_SPARE_ROWS, max_num=100, absolute_max=100
)


def characteristic_rows(lines: Any) -> list[CharacteristicFields]:
    """Return the lines that have a name."""
    said = [form.cleaned_data for form in lines if form.cleaned_data.get("name")]
    return [CharacteristicFields(**row) for row in said]


def characteristic_initial(plan: InspectionPlan) -> list[dict[str, Any]]:
    names = ("name", "kind", "unit", "lower_limit", "upper_limit", "nominal", "gauge")
    return [
        {**{name: getattr(row, name) for name in names},
         "defect": row.defect_type.code if row.defect_type else ""}
        for row in plan.characteristics.all()
    ]  # fmt: skip


@dataclass(frozen=True)
class MeasuringField:
    """One characteristic on the inspector's page."""

    characteristic: Characteristic
    name: str
    is_number: bool
    limits: str


class SaidForm(forms.Form):
    """A verdict in words; `defects` are boxes to tick."""

    verdict = forms.ChoiceField(
        label="Verdict", required=False, choices=[("", "By the limits"), *Verdict.choices],
        widget=forms.RadioSelect,
    )  # fmt: skip
    note = forms.CharField(label="Note", required=False, max_length=500, widget=_area(2))
    defects = forms.MultipleChoiceField(
        label="Defects", required=False, widget=forms.CheckboxSelectMultiple
    )
    request_id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, defects: Sequence[DefectType], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(row.code, row.name) for row in defects]
        self.fields["defects"].choices = choices  # type: ignore[attr-defined]

    def counts(self) -> dict[str, int]:
        return dict.fromkeys(self.cleaned_data["defects"], 1)


class NotANumber(Exception):
    """Something that was typed as a value is none; the text is for people."""


def measured(fields: Sequence[MeasuringField], said: Any) -> list[Measured]:
    """Return what was typed; what was left empty is left out.

    Raises:
        NotANumber: says which.
    """
    found = []
    for field in fields:
        text = said.get(field.name, "").strip()
        if not text:
            continue
        name = field.characteristic.name
        if not field.is_number:
            found.append(Measured(name, is_good=text == "good"))
            continue
        try:
            found.append(Measured(name, value=float(text.replace(",", "."))))
        except ValueError:
            raise NotANumber(f"{name}: {text[:20]} is no number.") from None
    return found


class DecideForm(forms.Form):
    """What becomes of the material."""

    disposition = forms.ChoiceField(
        label="What becomes of it", choices=Nonconformance.Disposition.choices,
        widget=forms.RadioSelect,
    )  # fmt: skip
    cost = _cost("What it costs", help_text="Empty: what its units have cost.")
    text = forms.CharField(label="Why", required=False, max_length=500, widget=_input())
    request_id = forms.UUIDField(required=False, widget=forms.HiddenInput)


class LotForm(forms.Form):
    """A lot or serial by hand."""

    product = forms.ChoiceField(label="Product", widget=forms.Select(SELECT))
    code = forms.CharField(label="Code", max_length=60, widget=_input())
    quantity = forms.DecimalField(
        label="How many", initial=1, min_value=Decimal("0.001"), max_digits=14, decimal_places=3,
        widget=_number(),
    )  # fmt: skip
    is_serial = forms.BooleanField(label="A single piece with a serial number", required=False)
    made_at = forms.DateTimeField(
        label="Made",
        required=False,
        help_text="Empty: now.",
        widget=forms.DateTimeInput({"class": "form-control", "type": "datetime-local"}),
    )

    def __init__(self, *args: Any, products: Sequence[Product], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["product"].choices = [  # type: ignore[attr-defined]
            (str(product.pk), str(product)) for product in products
        ]

    def clean_made_at(self) -> Any:
        return self.cleaned_data["made_at"] or timezone.now()


class LotStateForm(forms.Form):
    """What happens to a lot, and why."""

    state = forms.ChoiceField(choices=[c for c in Lot.State.choices if c[0] != Lot.State.CREATED])
    text = forms.CharField(required=False, max_length=500)


class DefectForm(forms.Form):
    """A kind of defect, as the people of the factory call it."""

    code = forms.SlugField(
        label="Code", max_length=40, help_text="Short, without spaces: scratch.", widget=_input()
    )
    name = forms.CharField(label="Name", max_length=80, widget=_input())
    severity = forms.ChoiceField(
        label="How bad", choices=DefectType.Severity.choices, initial="major",
        widget=forms.Select(SELECT),
    )  # fmt: skip
    escape_cost = _cost("One that leaves the plant costs")
