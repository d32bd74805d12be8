"""The API of a factory: each floor brings its own routes."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from config.parts import exists

FLOORS = ("tenants", "production", "telemetry", "mlops", "analytics", "billing")

urlpatterns: list[URLPattern | URLResolver] = [
    path("openapi.json", SpectacularAPIView.as_view(urlconf="config.urls_factory"), name="openapi"),
]
urlpatterns += [
    path("", include(f"{floor}.api.urls")) for floor in FLOORS if exists(f"{floor}.api.urls")
]
