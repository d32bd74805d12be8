from django.urls import path

from tenants.api import leaving, webhooks

app_name = "tenants-api"
urlpatterns = [
    path("factory/export", leaving.FactoryExports.as_view(), name="factory-export"),
    path(
        "factory/export/<uuid:everything_id>/file",
        leaving.FactoryExportFile.as_view(),
        name="factory-export-file",
    ),
    path("webhooks", webhooks.Endpoints.as_view(), name="webhooks"),
    path("webhooks/<uuid:endpoint_id>", webhooks.Endpoint.as_view(), name="webhook"),
    path(
        "webhooks/<uuid:endpoint_id>/secret",
        webhooks.EndpointSecret.as_view(),
        name="webhook-secret",
    ),
    path("webhooks/<uuid:endpoint_id>/ping", webhooks.EndpointPing.as_view(), name="webhook-ping"),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries",
        webhooks.Deliveries.as_view(),
        name="webhook-deliveries",
    ),
    path(
        "webhooks/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/replay",
        webhooks.DeliveryReplay.as_view(),
        name="webhook-replay",
    ),
]
