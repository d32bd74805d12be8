"""The form of a measuring point: its bearing, and by which limits it is judged."""

from typing import Any

from django import forms

from mlops.models import BearingPlace
from mlops.services import PlaceFields

TEXT = {"class": "form-control", "autocomplete": "off"}
NUMBER = {"class": "form-control", "inputmode": "decimal", "step": "any"}
SELECT = {"class": "form-select"}


class PlaceForm(forms.Form):
    """What is known of a point; for courtesy, the service holds the rules."""

    point = forms.CharField(
        label="Point", max_length=80, help_text="As your bursts call it.",
        widget=forms.TextInput({**TEXT, "placeholder": "drive end, radial"}),
    )  # fmt: skip
    bearing = forms.CharField(
        label="Bearing", required=False, max_length=60,
        widget=forms.TextInput({**TEXT, "placeholder": "6205"}),
    )  # fmt: skip
    n_elements = forms.IntegerField(
        label="Rolling elements", required=False, min_value=3, max_value=200,
        widget=forms.NumberInput(NUMBER),
    )  # fmt: skip
    element_mm = forms.FloatField(
        label="Diameter of an element, d (mm)", required=False, min_value=0.1, max_value=1_000,
        widget=forms.NumberInput(NUMBER),
    )  # fmt: skip
    pitch_mm = forms.FloatField(
        label="Pitch diameter, D (mm)", required=False, min_value=0.1, max_value=10_000,
        help_text="Of the circle through the elements' centres.", widget=forms.NumberInput(NUMBER),
    )  # fmt: skip
    angle_deg = forms.FloatField(
        label="Contact angle (°)", min_value=0, max_value=89, initial=0,
        widget=forms.NumberInput(NUMBER),
    )  # fmt: skip
    nominal_rpm = forms.FloatField(
        label="Nominal speed (rpm)", required=False, min_value=1, max_value=200_000,
        help_text="Taken where a burst does not tell its speed.", widget=forms.NumberInput(NUMBER),
    )  # fmt: skip
    machine_group = forms.ChoiceField(
        label="Power of the machine", required=False, widget=forms.Select(SELECT),
        choices=[("", "Not known: no zone"), *BearingPlace.Group.choices],
    )  # fmt: skip
    support = forms.ChoiceField(
        label="It stands on", choices=BearingPlace.Support.choices, widget=forms.Select(SELECT)
    )
    scope = forms.ChoiceField(label="Holds for", widget=forms.Select(SELECT))

    def __init__(self, *args: Any, machine_name: str, type_name: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = [  # type: ignore[attr-defined]
            ("machine", f"{machine_name} alone"),
            ("type", f"Every {type_name} without its own"),
        ]

    def place_fields(self) -> PlaceFields:
        said = {k: v for k, v in self.cleaned_data.items() if k != "scope"}
        return PlaceFields(**said)

    @property
    def is_for_type(self) -> bool:
        return bool(self.cleaned_data["scope"] == "type")


def place_initial(place: BearingPlace | None, *, point: str) -> dict[str, Any]:
    """Return a place as the form shows it."""
    if place is None:
        return {"point": point}
    said: dict[str, Any] = {}
    for name in PlaceForm.base_fields:
        value = getattr(place, name, None)
        said[name] = f"{value:g}" if isinstance(value, float) else value
    said["scope"] = "machine" if place.machine_id else "type"
    return said
