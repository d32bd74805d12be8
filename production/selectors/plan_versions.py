"""An inspection plan through its versions: pictures and models belong to all of them.

A revised plan is a new row with the same product and name; what is to last beyond a revision is
tied to the first.
"""

from collections.abc import Sequence
from uuid import UUID

from production.models import InspectionPlan


def first_version(plan_id: UUID) -> InspectionPlan:
    """Return the first version of a plan, whichever version is named.

    Raises:
        InspectionPlan.DoesNotExist: not in this factory.
    """
    plan = InspectionPlan.objects.select_related("product").get(pk=plan_id)
    if plan.version == 1:
        return plan
    rows = InspectionPlan.objects.filter(product_id=plan.product_id, name=plan.name)
    return rows.select_related("product").order_by("version")[0]


def version_in_force(plan: InspectionPlan) -> InspectionPlan | None:
    """Return the released version of a plan, or None where there is none."""
    rows = InspectionPlan.objects.filter(
        product_id=plan.product_id, name=plan.name, state=InspectionPlan.State.RELEASED
    )
    return rows.select_related("product").first()


def plans_in_force() -> Sequence[InspectionPlan]:
    """Return the first version of each plan that has one in force, by product and name."""
    released = InspectionPlan.objects.filter(state=InspectionPlan.State.RELEASED)
    names = set(released.values_list("product_id", "name"))
    rows = InspectionPlan.objects.select_related("product").order_by(
        "product__item_no", "name", "version"
    )
    firsts: dict[tuple[UUID, str], InspectionPlan] = {}
    for row in rows:
        if (row.product_id, row.name) in names:
            firsts.setdefault((row.product_id, row.name), row)
    return list(firsts.values())
