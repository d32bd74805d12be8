from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """Senses: devices, what they send, and where it is kept."""

    name = "telemetry"
    verbose_name = "Telemetry"

    def ready(self) -> None:
        from telemetry import leaving
        from telemetry.alarms import announcing

        announcing.register()
        leaving.register()
