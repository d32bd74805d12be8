from django.apps import AppConfig


class ProductionConfig(AppConfig):
    """The plant and what is made in it."""

    name = "production"

    def ready(self) -> None:
        from production import receivers  # noqa: F401  a new factory gets a plant
