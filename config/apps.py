from importlib import import_module

from django.apps import AppConfig

from config.celery import FLOORS
from config.parts import exists


class ConfigConfig(AppConfig):
    """The top floor is an app for its management commands; it has no models."""

    name = "config"

    def ready(self) -> None:
        from config import receivers  # noqa: F401  certificates of new hosts

        # Work is queued by name from any process, so every process knows all tasks.
        for floor in FLOORS:
            if exists(f"{floor}.tasks"):
                import_module(f"{floor}.tasks")
