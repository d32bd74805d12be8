"""The limit by which a plan's pictures are judged: set by hand, or by what mistakes cost.

Each score is that of a picture judged by what the others taught, as the version in service keeps
them. So costs may be changed at any time, and the limit moves without a new training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from mlops.models import ModelVersion, VisionSetup
from mlops.vision import costs
from mlops.vision.anomaly import FALSE_REJECT_RATE
from mlops.vision.costs import CostCurve, DefectClass, UnusableCosts
from production.models import DefectType, InspectionPlan

# At least so much of the parts is defective in some way: a share of 0 would let everything pass.
LEAST_SHARE = 1e-6


def limit_of(version: ModelVersion, setup: VisionSetup, plan: InspectionPlan) -> float:
    """Return the score from which a part is rejected.

    Set by hand, else the one that costs least, else that of the version: while nobody has said
    what mistakes cost, and while no defective part has been shown.
    """
    if setup.limit is not None:
        return setup.limit
    curve = cost_curve(version, setup, plan)
    if curve is None or curve.is_one_sided:
        return float(version.details["limit"])
    return curve.best.threshold


def cost_curve(
    version: ModelVersion, setup: VisionSetup, plan: InspectionPlan,
    own_costs: Mapping[str, int | None] | None = None,
) -> CostCurve | None:  # fmt: skip
    """Return what each limit is expected to cost a day, in minor units of the currency.

    None where nobody has said what mistakes cost, or too few pictures are known.

    Args:
        own_costs: code of a defect -> what one costs that leaves, or None for the plan's; those
            that the factory has said if not given.
    """
    if plan.escape_cost_minor is None or plan.false_reject_cost_minor is None:
        return None
    try:
        return costs.choose(
            np.array(version.details.get("good_scores", [])),
            _classes(version, setup, plan, own_costs),
            false_reject_cost=plan.false_reject_cost_minor, parts_a_day=setup.parts_per_day,
            false_reject_rate=FALSE_REJECT_RATE,
        )  # fmt: skip
    except UnusableCosts:
        return None


def cost_at(curve: CostCurve, limit: float) -> float:
    """Return what a limit is expected to cost a day, in minor units of the currency."""
    return float(np.interp(limit, curve.thresholds, curve.costs))


def _classes(
    version: ModelVersion, setup: VisionSetup, plan: InspectionPlan,
    own_costs: Mapping[str, int | None] | None,
) -> dict[str, DefectClass]:  # fmt: skip
    """Return the kinds of defects that have been shown; each is as frequent as it was shown."""
    rows = version.details.get("defect_scores", [])
    counted = Counter(str(code) for code, _ in rows)
    own = own_costs if own_costs is not None else _said_costs(counted)
    share = min(max(setup.defective_share, LEAST_SHARE), 1.0 - LEAST_SHARE)
    found = {}
    for code, n in counted.items():
        price = own.get(code)
        found[code] = DefectClass(
            scores=np.array([float(score) for other, score in rows if other == code]),
            share=share * n / len(rows),
            escape_cost=(plan.escape_cost_minor or 0) if price is None else price,
        )
    return found


def _said_costs(codes: Iterable[str]) -> dict[str, int | None]:
    rows = DefectType.objects.filter(code__in=list(codes))
    return dict(rows.values_list("code", "escape_cost_minor"))
