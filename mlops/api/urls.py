from django.urls import path

from mlops.api import vibration, views

app_name = "mlops-api"
urlpatterns = [
    path("predictions", views.Predictions.as_view(), name="predictions"),
    path(
        "machines/<uuid:machine_id>/predictions",
        views.MachinePredictions.as_view(),
        name="machine-predictions",
    ),
    path(
        "machines/<uuid:machine_id>/vibration",
        vibration.Bursts.as_view(),
        name="machine-vibration",
    ),
    path(
        "machines/<uuid:machine_id>/vibration/<uuid:burst_id>",
        vibration.BurstDetail.as_view(),
        name="machine-vibration-burst",
    ),
    path("models", views.Models.as_view(), name="models"),
    path("models/findings", views.Findings.as_view(), name="findings"),
    path("models/<uuid:version_id>", views.Model.as_view(), name="model"),
    path("models/<uuid:version_id>/promote", views.PromoteModel.as_view(), name="model-promote"),
    path(
        "machine-types/<uuid:machine_type_id>/model",
        views.TypeModel.as_view(),
        name="machine-type-model",
    ),
    path(
        "machine-types/<uuid:machine_type_id>/model/roll-back",
        views.RollBackTypeModel.as_view(),
        name="machine-type-model-roll-back",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/model",
        views.PlanModel.as_view(),
        name="inspection-plan-model",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/model/roll-back",
        views.RollBackPlanModel.as_view(),
        name="inspection-plan-model-roll-back",
    ),
]
