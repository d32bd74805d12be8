"""The public host: what Takt is, who you are, your factories."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from config.parts import exists

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("tenants.urls_public")),
    path("accounts/", include("allauth.urls")),
    path("staff/", admin.site.urls),
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(
            url="/api/v1/openapi.json", template_name="frontend/public/api_docs.html"
        ),
        name="docs",
    ),
]
if exists("billing.urls"):
    urlpatterns.append(path("", include("billing.urls")))
if exists("frontend.urls_public"):
    urlpatterns.append(path("", include("frontend.urls_public")))

handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.broken"
