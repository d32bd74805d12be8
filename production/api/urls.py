from django.urls import path

from production.api import quality, quality_lots, upkeep, views, work_orders

app_name = "production-api"
urlpatterns = [
    path("lines", views.Lines.as_view(), name="lines"),
    path("machine-types", views.MachineTypes.as_view(), name="machine-types"),
    path("machines", views.Machines.as_view(), name="machines"),
    path("machines/<uuid:machine_id>", views.MachineDetail.as_view(), name="machine"),
    path("machines/<uuid:machine_id>/failures", views.MachineFailures.as_view(), name="failures"),
    path("machines/<uuid:machine_id>/meters", upkeep.Meters.as_view(), name="meters"),
    path("work-orders", work_orders.Orders.as_view(), name="work-orders"),
    path("work-orders/<uuid:order_id>", work_orders.OrderDetail.as_view(), name="work-order"),
    *(
        path(f"work-orders/<uuid:order_id>/{name}", view.as_view(), name=f"work-order-{name}")
        for name, view in work_orders.STEPS.items()
    ),
    path(
        "work-orders/<uuid:order_id>/checks/<int:item_id>",
        work_orders.Check.as_view(),
        name="work-order-check",
    ),
    path(
        "work-orders/<uuid:order_id>/photos/<uuid:photo_id>",
        work_orders.Photo.as_view(),
        name="work-order-photo",
    ),
    path("maintenance-plans", upkeep.Plans.as_view(), name="maintenance-plans"),
    path("maintenance-plans/<uuid:plan_id>", upkeep.PlanDetail.as_view(), name="maintenance-plan"),
    path("spare-parts", upkeep.Parts.as_view(), name="spare-parts"),
    path("spare-parts/<uuid:part_id>", upkeep.PartDetail.as_view(), name="spare-part"),
    path("spare-parts/<uuid:part_id>/stock", upkeep.PartStock.as_view(), name="spare-part-stock"),
    path(
        "spare-parts/<uuid:part_id>/movements",
        upkeep.PartMovements.as_view(),
        name="spare-part-movements",
    ),
    path("products", quality_lots.Products.as_view(), name="products"),
    path("products/<uuid:product_id>", quality_lots.ProductDetail.as_view(), name="product"),
    path("production-orders", quality_lots.ProductionOrders.as_view(), name="production-orders"),
    path("lots", quality_lots.Lots.as_view(), name="lots"),
    path("lots/bulk", quality_lots.LotList.as_view(), name="lots-bulk"),
    path("lots/<uuid:lot_id>", quality_lots.LotDetail.as_view(), name="lot"),
    path("lots/<uuid:lot_id>/state", quality_lots.LotState.as_view(), name="lot-state"),
    path("operation-runs", quality_lots.Runs.as_view(), name="operation-runs"),
    path("defect-types", quality.DefectTypes.as_view(), name="defect-types"),
    path("inspection-plans", quality.InspectionPlans.as_view(), name="inspection-plans"),
    path(
        "inspection-plans/<uuid:inspection_plan_id>",
        quality.InspectionPlanDetail.as_view(),
        name="inspection-plan",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/versions",
        quality.InspectionPlanVersions.as_view(),
        name="inspection-plan-versions",
    ),
    path("inspections", quality.Inspections.as_view(), name="inspections"),
    path("inspections/<uuid:inspection_id>", quality.InspectionDetail.as_view(), name="inspection"),
    path(
        "inspections/<uuid:inspection_id>/verdicts",
        quality.InspectionVerdicts.as_view(),
        name="inspection-verdicts",
    ),
    path("nonconformances", quality.Nonconformances.as_view(), name="nonconformances"),
    path(
        "nonconformances/<uuid:nonconformance_id>",
        quality.NonconformanceDetail.as_view(),
        name="nonconformance",
    ),
    *(
        path(
            f"nonconformances/<uuid:nonconformance_id>/{name}",
            view.as_view(),
            name=f"nonconformance-{name}",
        )
        for name, view in quality.STEPS.items()
    ),
]
