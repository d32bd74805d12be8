from django.apps import AppConfig


class MlopsConfig(AppConfig):
    name = "mlops"

    def ready(self) -> None:
        from mlops import kinds, leaving
        from mlops.maintenance.remaining_life import RemainingLife
        from mlops.maintenance.unusual import UnusualBehaviour
        from mlops.quality.predicting import Quality
        from mlops.vision.inspection import VisualInspection

        kinds.register(RemainingLife())
        kinds.register(UnusualBehaviour())
        kinds.register(Quality())
        kinds.register(VisualInspection())
        leaving.register()
