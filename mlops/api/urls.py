from django.urls import path

from mlops.api import views

app_name = "mlops-api"
urlpatterns = [
    path("predictions", views.Predictions.as_view(), name="predictions"),
    path(
        "machines/<uuid:machine_id>/predictions",
        views.MachinePredictions.as_view(),
        name="machine-predictions",
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
        views.RollBackModel.as_view(),
        name="machine-type-model-roll-back",
    ),
]
