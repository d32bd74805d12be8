"""What is learned and said: versions and their life, predictions, vibration, pictures, quality."""

from mlops.models.quality import QualityPrediction
from mlops.models.versions import (
    Finding,
    Kind,
    ModelVersion,
    Outcome,
    Prediction,
    VersionEvent,
)
from mlops.models.vibration import BearingPlace, VibrationBurst
from mlops.models.vision import (
    ImageLabel,
    ImageRegion,
    ImageVerdict,
    InspectionImage,
    PendingPicture,
    VisionSetup,
)

__all__ = [
    "BearingPlace",
    "Finding",
    "ImageLabel",
    "ImageRegion",
    "ImageVerdict",
    "InspectionImage",
    "Kind",
    "ModelVersion",
    "Outcome",
    "PendingPicture",
    "Prediction",
    "QualityPrediction",
    "VersionEvent",
    "VibrationBurst",
    "VisionSetup",
]
