from django.urls import path

from mlops.api import pictures, quality, vibration, views

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
    path("quality-predictions", quality.QualityPredictions.as_view(), name="quality-predictions"),
    path(
        "lots/<uuid:lot_id>/quality-predictions",
        quality.LotQuality.as_view(),
        name="lot-quality-predictions",
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
    path(
        "inspection-plans/<uuid:inspection_plan_id>/pictures",
        pictures.PlanPictures.as_view(),
        name="inspection-plan-pictures",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/judge",
        pictures.Judge.as_view(),
        name="inspection-plan-judge",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/review-queue",
        pictures.ReviewQueue.as_view(),
        name="inspection-plan-review-queue",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/disagreements",
        pictures.Disagreements.as_view(),
        name="inspection-plan-disagreements",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/vision-setup",
        pictures.VisionSetupView.as_view(),
        name="inspection-plan-vision-setup",
    ),
    path(
        "inspection-plans/<uuid:inspection_plan_id>/verdicts.csv",
        pictures.VerdictTable.as_view(),
        name="inspection-plan-verdicts",
    ),
    path("pictures/<uuid:image_id>", pictures.Picture.as_view(), name="picture"),
    path(
        "pictures/<uuid:image_id>/content", pictures.PictureFile.as_view(), name="picture-content"
    ),
    path(
        "pictures/<uuid:image_id>/thumbnail",
        pictures.PictureThumbnail.as_view(),
        name="picture-thumbnail",
    ),
    path("pictures/<uuid:image_id>/heat", pictures.PictureHeat.as_view(), name="picture-heat"),
    path(
        "pictures/<uuid:image_id>/labels", pictures.PictureLabels.as_view(), name="picture-labels"
    ),
    path("pictures/<uuid:image_id>/keep", pictures.PictureKeep.as_view(), name="picture-keep"),
]
