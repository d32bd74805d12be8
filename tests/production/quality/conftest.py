"""A bracket that is milled, the plan by which it is inspected, and a lot of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from production import services
from production.models import InspectionPlan, Lot, Product
from production.services import CharacteristicFields, InspectionPlanFields
from tests.production.conftest import actor, bearing, machine, operator

__all__ = ["actor", "bearing", "machine", "operator"]
NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
DIAMETER = CharacteristicFields(
    name="Bore", unit="mm", nominal=12.0, lower_limit=11.98, upper_limit=12.02, defect="bore"
)
LOOK = CharacteristicFields(name="Surface", kind="attribute", defect="scratch")


@pytest.fixture
def bracket(in_acme: Any) -> Product:
    return services.make_product(item_no="B-100", name="Bracket", unit_cost_minor=1_250)


@pytest.fixture
def defects(in_acme: Any) -> None:
    services.save_defect_type(code="bore", name="Bore out of size", severity="critical")
    services.save_defect_type(code="scratch", name="Scratch", severity="minor")


@pytest.fixture
def plan_of(bracket: Product, defects: None) -> Callable[..., InspectionPlan]:
    """Return `plan_of(name, ...)`: a plan for the bracket, which asks for nothing by itself."""

    def make(name: str = "After milling", **fields: Any) -> InspectionPlan:
        fields = {"operation": "20 milling", "characteristics": (DIAMETER, LOOK), **fields}
        return services.make_inspection_plan(
            product_id=bracket.pk, fields=InspectionPlanFields(name=name, **fields), at=NOON,
            by=None,
        )  # fmt: skip

    return make


@pytest.fixture
def plan(plan_of: Callable[..., InspectionPlan]) -> InspectionPlan:
    return plan_of()


@pytest.fixture
def lot_of(bracket: Product) -> Callable[..., Lot]:
    def make(code: str = "L-1", **fields: Any) -> Lot:
        fields = {"quantity": Decimal(20), "made_at": NOON, "at": NOON, **fields}
        return services.make_lot(product=bracket, code=code, **fields)

    return make


@pytest.fixture
def lot(lot_of: Callable[..., Lot]) -> Lot:
    return lot_of()
