"""Forms of the portal: for courtesy; what must hold, the services and the database hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django import forms

from frontend import connecting
from production.models import Machine
from tenants.models import Role

CURRENCIES = (
    ("EUR", "Euro (€)"),
    ("USD", "US dollar ($)"),
    ("GBP", "Pound sterling (£)"),
    ("CHF", "Swiss franc (CHF)"),
)


def _control(**attributes: Any) -> dict[str, Any]:
    return {"class": "form-control", **attributes}


def zones() -> list[tuple[str, str]]:
    regions = (
        "Africa/",
        "America/",
        "Asia/",
        "Atlantic/",
        "Australia/",
        "Europe/",
        "Indian/",
        "Pacific/",
    )
    known = sorted(zone for zone in available_timezones() if zone.startswith(regions))
    return [(zone, zone.replace("_", " ")) for zone in ["UTC", *known]]


class FactoryForm(forms.Form):
    """A new factory."""

    name = forms.CharField(
        label="Name",
        min_length=3,
        max_length=80,
        help_text="As people call it. You can change it later; the address stays.",
        widget=forms.TextInput(_control(autocomplete="organization", autofocus=True)),
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        help_text="Shifts, charts and reports use it.",
        widget=forms.Select({"class": "form-select", "data-guess-zone": ""}),
    )
    currency = forms.ChoiceField(
        label="Currency", choices=CURRENCIES, widget=forms.Select({"class": "form-select"})
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["time_zone"].choices = zones()  # type: ignore[attr-defined]  # a ChoiceField


class InviteForm(forms.Form):
    """A letter to someone who should join."""

    email = forms.EmailField(widget=forms.EmailInput(_control(autocomplete="off")))
    role = forms.ChoiceField(
        choices=Role.choices, initial=Role.VIEWER, widget=forms.Select({"class": "form-select"})
    )


@dataclass(frozen=True)
class WayChoice:
    """How readings leave a machine; each choice puts the command that fits it first."""

    value: str
    label: str
    words: str
    icon: str
    is_chosen: bool = False


WAYS = (
    WayChoice(
        connecting.GATEWAY,
        "A gateway, PC or PLC",
        "Anything that can send JSON over HTTPS",
        "router",
    ),
    WayChoice(
        connecting.MADE_UP,
        "No machine at hand",
        "A made-up mill on this computer, to look around",
        "player-play",
    ),
)


class ConnectForm(forms.Form):
    """A device and the machine that it reports for."""

    way = forms.ChoiceField(choices=[(way.value, way.label) for way in WAYS], required=False)
    name = forms.CharField(
        label="Name of the machine",
        max_length=80,
        help_text="The name people use on the floor.",
        widget=forms.TextInput(_control(autocomplete="off", placeholder="Mill 1")),
    )
    kind = forms.CharField(
        label="Kind of machine",
        max_length=80,
        required=False,
        help_text="Machines of one kind learn from each other.",
        widget=forms.TextInput(_control(list="machine-kinds", autocomplete="off")),
    )
    machine = forms.ChoiceField(
        label="Reports for",
        required=False,
        help_text="A second device of a machine that is there already?",
        widget=forms.Select({"class": "form-select"}),
    )

    def __init__(self, *args: Any, machines: Sequence[Machine], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if machines:
            choices = [("", "A new machine"), *((str(m.pk), m.name) for m in machines)]
            self.fields["machine"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField
            self.fields["name"].label = "Name of the device"
        else:
            del self.fields["machine"]

    @property
    def ways(self) -> list[WayChoice]:
        chosen = self["way"].value() or connecting.GATEWAY
        return [replace(way, is_chosen=way.value == chosen) for way in WAYS]

    def wish(self) -> connecting.Wish:
        machine = self.cleaned_data.get("machine")
        return connecting.Wish(
            name=self.cleaned_data["name"],
            kind=self.cleaned_data.get("kind", ""),
            machine_id=UUID(machine) if machine else None,
        )
