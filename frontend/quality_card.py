"""What models expect of a lot, before its inspection says it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from frontend.formats import moment
from frontend.lot_page import LotCard
from mlops import selectors as mlops_selectors
from mlops.models import Kind, Prediction, QualityPrediction
from production import selectors as production_selectors
from production.models import DefectType, Lot

LATELY = timedelta(days=2)
MOST = 8


@dataclass(frozen=True)
class ExpectedRow:
    """What one plan is expected to say of the lot.

    `kind` colours the word: "bad" from the limit on, "good" below, "" where nothing can be said.
    """

    plan: str
    model_url: str
    kind: str
    big: str
    between: str
    under: str
    defects: str
    reasons: tuple[str, ...]
    window: str
    version: str


@dataclass(frozen=True)
class RiskRow:
    """A lot in work that is likely to be rejected."""

    url: str
    lot: str
    chance: str
    words: str
    when: str


def card_of_lot(lot: Lot) -> LotCard | None:
    """Return what models say of the lot, or None where none has said anything."""
    newest: dict[Any, QualityPrediction] = {}
    for row in mlops_selectors.quality_of_lot(lot.pk):
        newest.setdefault(row.plan_id, row)
    if not newest:
        return None
    return LotCard(
        "models", "frontend/lots/expected.html", tuple(_row(one) for one in newest.values())
    )


def _row(said: QualityPrediction) -> ExpectedRow:
    is_known = said.state == Prediction.State.OK and said.chance is not None
    stages = ", ".join(said.stages_known) or "its parameters alone"
    so_far = "" if said.is_complete else f" So far only {stages} is known."
    version = f"Model version {said.version.version}" if said.version else ""
    return ExpectedRow(
        plan=said.plan.name,
        model_url=reverse("frontend:model", args=[said.plan_id, Kind.QUALITY.value]),
        kind=_kind(said) if is_known else "",
        big=f"{said.chance:.0%}" if is_known else "Nothing can be said yet",
        between=f"{said.chance_low:.0%} to {said.chance_high:.0%}" if is_known else "",
        under=f"{said.message}{so_far}".strip(),
        defects=_defects(said.chances) if is_known else "",
        reasons=tuple(str(reason["sentence"]) for reason in said.reasons),
        window=_window(said.window),
        version=f"{version}, {moment(said.made_at)}",
    )


def _window(window: dict[str, Any]) -> str:
    """Say within which ranges fewer lots were rejected, and on what that rests."""
    bounds = [
        f"{bound['column']} " + (
            f"one of {', '.join(bound['levels'])}" if bound["levels"]
            else f"from {bound['low']:.4g} to {bound['high']:.4g}"
        )
        for bound in window.get("bounds", ())
    ]  # fmt: skip
    sentence = str(window.get("sentence", ""))
    return f"Window: {'; '.join(bounds)}. {sentence}" if bounds else sentence


def _kind(said: QualityPrediction) -> str:
    return "bad" if (said.chance or 0.0) >= (said.limit or 1.0) else "good"


def _defects(chances: dict[str, float]) -> str:
    """Say which defects are likely, where there are several kinds."""
    if len(chances) < 2:
        return ""
    names = dict(DefectType.objects.filter(code__in=chances).values_list("code", "name"))
    likely = sorted(chances.items(), key=lambda item: (-item[1], item[0]))[:3]
    return "; ".join(f"{names.get(code, code)} {chance:.0%}" for code, chance in likely)


def at_risk(*, at: datetime) -> Sequence[RiskRow]:
    """Return the lots in work that are likely to be rejected, the likeliest first."""
    rows = mlops_selectors.quality_predictions().filter(
        made_at__gt=at - LATELY, state=Prediction.State.OK
    )
    newest: dict[Any, QualityPrediction] = {}
    for row in rows:
        newest.setdefault((row.lot_id, row.plan_id), row)
    judged = production_selectors.lots_judged([row.lot_id for row in newest.values()])
    risky = [row for row in newest.values() if _kind(row) == "bad" and row.lot_id not in judged]
    risky.sort(key=lambda row: -(row.chance or 0.0))
    return [
        RiskRow(
            url=reverse("frontend:lot", args=[row.lot_id]), lot=row.lot.code,
            chance=f"{row.chance:.0%}",
            words=str(row.reasons[0]["sentence"]) if row.reasons else row.plan.name,
            when=moment(row.made_at, at),
        )
        for row in risky[:MOST]
    ]  # fmt: skip
