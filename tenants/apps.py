from django.apps import AppConfig


class TenantsConfig(AppConfig):
    """Who the customer is and what they may use."""

    name = "tenants"

    def ready(self) -> None:
        from tenants import accounts  # noqa: F401  receivers
