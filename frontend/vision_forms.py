"""Forms of visual inspection: uploads, labels with marked places, what mistakes cost.

They are for courtesy; the services hold the rules.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms

from frontend.formats import minor_units
from frontend.order_forms import SELECT
from frontend.quality_forms import MAX_COST, minor
from mlops.models import InspectionImage, VisionSetup
from mlops.services import RegionSaid, SetupFields
from production.models import DefectType, InspectionPlan

MAX_REGIONS_TEXT: Final = 4 * 1024 * 1024
PNG_HEAD: Final = "data:image/png;base64,"
Label = InspectionImage.Label


class NotRegions(Exception):
    """What was sent as marked places is none; the text is for people."""


def regions_said(text: str) -> list[RegionSaid]:
    """Read the marked places of a form: JSON, [{defect, x, y, width, height, mask}].

    `mask` is empty, or a PNG as a data address.

    Raises:
        NotRegions: it is something else.
    """
    if len(text) > MAX_REGIONS_TEXT:
        raise NotRegions("Too much was marked at once. Mark less, or coarser.")
    try:
        return [_region(one) for one in json.loads(text or "[]")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NotRegions("What was marked was not understood. Mark it again.") from error


def _region(one: Mapping[str, Any]) -> RegionSaid:
    mask = str(one.get("mask") or "")
    return RegionSaid(
        defect_code=str(one["defect"]), x=int(one["x"]), y=int(one["y"]),
        width=int(one["width"]), height=int(one["height"]),
        mask_png=_png(mask) if mask else None,
    )  # fmt: skip


def _png(text: str) -> bytes:
    if not text.startswith(PNG_HEAD):
        raise NotRegions("What was painted is no PNG.")
    try:
        return base64.b64decode(text.removeprefix(PNG_HEAD), validate=True)
    except binascii.Error as error:
        raise NotRegions("What was painted is no PNG.") from error


class LabelForm(forms.Form):
    """What somebody says of a picture."""

    label = forms.ChoiceField(choices=[(str(v), str(w)) for v, w in Label.choices if v])
    note = forms.CharField(required=False, max_length=500)
    regions = forms.CharField(required=False, strip=False)
    request_id = forms.UUIDField(required=False)


class UploadForm(forms.Form):
    """What the pictures of an upload show; the files themselves are read one by one."""

    label = forms.ChoiceField(
        required=False,
        choices=[("", "Nobody has looked"), ("good", "Good parts"), ("defect", "Defective parts")],
    )


def _number(**attributes: Any) -> forms.NumberInput:
    return forms.NumberInput(
        {"class": "form-control", "inputmode": "decimal", "step": "any", **attributes}
    )


def _cost(label: str, help_text: str = "") -> forms.DecimalField:
    return forms.DecimalField(
        label=label, required=False, min_value=0, max_value=MAX_COST, decimal_places=2,
        widget=_number(), help_text=help_text,
    )  # fmt: skip


class CostForm(forms.Form):
    """What mistakes cost, how many parts are made, and where the limit lies."""

    escape_cost = _cost("A defective part that leaves")
    false_reject_cost = _cost("A good part that is rejected")
    parts_per_day = forms.FloatField(
        label="Parts a day", min_value=0.001, max_value=1e9, widget=_number()
    )
    defective_percent = forms.FloatField(
        label="Defective of them, %", min_value=0.0, max_value=100.0, widget=_number()
    )
    by_hand = forms.ChoiceField(
        label="The limit",
        choices=[("", "The one that costs least"), ("yes", "Set by hand")],
        required=False,
        widget=forms.RadioSelect,
    )
    limit = forms.FloatField(label="Limit by hand", required=False, widget=_number())
    mode = forms.ChoiceField(
        label="What parts are compared with",
        choices=VisionSetup.Mode.choices,
        widget=forms.Select(SELECT),
    )
    keep_days = forms.IntegerField(
        label="Days that unlabelled pictures are kept",
        min_value=1,
        max_value=36_500,
        widget=_number(step="1"),
    )

    def __init__(
        self, *args: Any, defects: Sequence[DefectType], currency: str, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._currency = currency
        self._defects = defects
        for name in ("escape_cost", "false_reject_cost"):
            self.fields[name].label = f"{self.fields[name].label}, {currency}"
        for defect in defects:
            self.fields[f"own-{defect.code}"] = _cost(f"{defect.name}, {currency}")

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("by_hand") and said.get("limit") is None:
            self.add_error("limit", "Say which limit.")
        return said

    @property
    def own_fields(self) -> list[Any]:
        return [self[f"own-{defect.code}"] for defect in self._defects]

    def own_costs(self) -> dict[str, int | None]:
        """Return code -> what one such defect costs that leaves, in minor units."""
        said = self.cleaned_data
        return {d.code: minor(said[f"own-{d.code}"], self._currency) for d in self._defects}

    def setup_fields(self, setup: VisionSetup) -> SetupFields:
        """Return what was said; which picture is the golden one stays as it is."""
        said = self.cleaned_data
        return SetupFields(
            mode=said["mode"], golden_id=setup.golden_id, parts_per_day=said["parts_per_day"],
            defective_share=said["defective_percent"] / 100.0,
            limit=said["limit"] if said["by_hand"] else None, keep_days=said["keep_days"],
            escape_cost_minor=minor(said["escape_cost"], self._currency),
            false_reject_cost_minor=minor(said["false_reject_cost"], self._currency),
        )  # fmt: skip


def cost_initial(
    setup: VisionSetup, in_force: InspectionPlan, defects: Sequence[DefectType], *,
    limit: float | None, currency: str,
) -> dict[str, Any]:  # fmt: skip
    """Return what is known as the form shows it; `limit` is the one that counts now."""

    def major(value: int | None) -> Decimal | None:
        return None if value is None else Decimal(value) / minor_units(currency)

    return {
        "escape_cost": major(in_force.escape_cost_minor),
        "false_reject_cost": major(in_force.false_reject_cost_minor),
        "parts_per_day": _plain(setup.parts_per_day),
        "defective_percent": _plain(100.0 * setup.defective_share),
        "by_hand": "yes" if setup.limit is not None else "",
        "limit": None if limit is None else round(limit, 4),
        "mode": setup.mode,
        "keep_days": setup.keep_days,
        **{f"own-{defect.code}": major(defect.escape_cost_minor) for defect in defects},
    }


def _plain(value: float) -> str:
    return f"{value:.10g}"
