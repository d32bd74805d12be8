"""A factory's own host: its portal and its API."""

from importlib import import_module

from django.urls import URLPattern, URLResolver, include, path

from config.parts import exists

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tenants.urls_factory")),
    path("api/v1/", include("config.urls_api")),
]
if exists("telemetry.live"):
    live = import_module("telemetry.live")
    urlpatterns.append(path("live/stream", live.stream, name="live-stream"))
if exists("frontend.urls_factory"):
    urlpatterns.append(path("", include("frontend.urls_factory")))

handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.broken"
