"""Forms about devices: for courtesy; what must hold, the services and the database hold."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms

from production.models import Machine
from telemetry import device_list
from telemetry.models import Device
from telemetry.tags import BadTag, normalised, split
from tenants import claims


def _input(**attributes: Any) -> forms.TextInput:
    return forms.TextInput({"class": "form-control", "autocomplete": "off", **attributes})


class DeviceForm(forms.Form):
    """What a device is called and where it belongs."""

    name = forms.CharField(label="Name", max_length=120, widget=_input())
    machine = forms.ChoiceField(
        label="Reports for", required=False, widget=forms.Select({"class": "form-select"})
    )
    group = forms.CharField(
        label="Group",
        max_length=60,
        required=False,
        help_text="One a device: a hall, a line, a vendor.",
        widget=_input(list="device-groups"),
    )
    tags = forms.CharField(
        label="Tags",
        max_length=400,
        required=False,
        help_text="Short words, with spaces between them.",
        widget=_input(),
    )
    note = forms.CharField(
        label="Note",
        max_length=1_000,
        required=False,
        widget=forms.Textarea({"class": "form-control", "rows": 2}),
    )

    def __init__(self, *args: Any, machines: Sequence[Machine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "No machine"), *((str(m.pk), m.name) for m in machines)]
        self.fields["machine"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField

    def clean_tags(self) -> list[str]:
        try:
            return normalised(split(self.cleaned_data["tags"]))
        except BadTag as error:
            raise forms.ValidationError(str(error)) from error

    def changes(self, device: Device) -> dict[str, Any]:
        """Return what differs from the device as it is."""
        data = self.cleaned_data
        wanted = {
            "name": data["name"],
            "machine_id": UUID(data["machine"]) if data["machine"] else None,
            "group": data["group"],
            "tags": data["tags"],
            "note": data["note"],
        }
        return {field: value for field, value in wanted.items() if getattr(device, field) != value}


class ClaimCodeForm(forms.Form):
    """A code, for how many gateways, and what they start with."""

    max_uses = forms.IntegerField(
        label="For how many gateways",
        min_value=1,
        max_value=claims.MAX_USES,
        initial=1,
        widget=forms.NumberInput({"class": "form-control"}),
    )
    group = forms.CharField(
        label="Group they start in",
        max_length=60,
        required=False,
        widget=_input(list="device-groups"),
    )
    note = forms.CharField(label="What it is for", max_length=120, required=False, widget=_input())


class ImportForm(forms.Form):
    """A list of devices, as a file or pasted."""

    file = forms.FileField(
        label="A CSV file",
        required=False,
        widget=forms.FileInput({"class": "form-control", "accept": ".csv,text/csv"}),
    )
    csv = forms.CharField(
        label="Or paste the lines",
        required=False,
        strip=False,
        max_length=device_list.MAX_BYTES,
        widget=forms.Textarea({"class": "form-control mono", "rows": 6, "spellcheck": "false"}),
    )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        upload = data.get("file")
        if upload is not None:
            try:
                # One byte more than allowed tells a file that is too large; no more is read.
                data["csv"] = device_list.text_of(upload.read(device_list.MAX_BYTES + 1))
            except device_list.BadList as error:
                self.add_error("file", str(error))
        elif not data.get("csv", "").strip() and "csv" not in self.errors:
            self.add_error("file", "Choose a file, or paste the lines below.")
        return data
