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
    path(
        "machine-types/<uuid:machine_type_id>/model",
        views.TypeModel.as_view(),
        name="machine-type-model",
    ),
]
