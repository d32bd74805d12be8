from django.urls import path

from production.api import upkeep, views, work_orders

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
]
