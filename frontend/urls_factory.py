from django.urls import path

from frontend.views import (
    billing,
    device_ways_in,
    devices,
    machines,
    notifications,
    now,
    people,
    preferences,
    start,
    webhooks,
)

app_name = "frontend"
urlpatterns = [
    path("", now.now, name="now"),
    path("start/", start.start, name="start"),
    path("start/<int:device_id>/", start.device_steps, name="start-device"),
    path("machines/", machines.machine_list, name="machines"),
    path("machines/<uuid:machine_id>/", machines.machine, name="machine"),
    path("machines/<uuid:machine_id>/series.json", machines.machine_series, name="machine-series"),
    path("machines/<uuid:machine_id>/series.csv", machines.machine_csv, name="machine-csv"),
    path("machines/<uuid:machine_id>/readings/", machines.machine_table, name="machine-table"),
    path("machines/<uuid:machine_id>/train/", machines.train, name="machine-train"),
    path("devices/", devices.device_list, name="devices"),
    path("devices/codes/", device_ways_in.claim_codes, name="device-codes"),
    path(
        "devices/codes/<int:code_id>/", device_ways_in.claim_code_revoke, name="device-code-revoke"
    ),
    path("devices/import/", device_ways_in.device_import, name="device-import"),
    path("devices/<int:device_id>/", devices.device_detail, name="device"),
    path("devices/<int:device_id>/change/", devices.device_change, name="device-change"),
    path("devices/<int:device_id>/retire/", devices.device_retire, name="device-retire"),
    path("devices/<int:device_id>/keys/", devices.key_new, name="device-key-new"),
    path(
        "devices/<int:device_id>/keys/<int:credential_id>/",
        devices.key_revoke,
        name="device-key-revoke",
    ),
    path("devices/<int:device_id>/signals/", start.name_signals, name="signals-name"),
    path("usage/", billing.usage, name="usage"),
    path("usage/plan/", billing.plan, name="plan"),
    path("invoices/", billing.invoices, name="invoices"),
    path("people/", people.members, name="people"),
    path("people/<int:membership_id>/role/", people.member_role, name="member-role"),
    path("people/<int:membership_id>/remove/", people.member_remove, name="member-remove"),
    path("notifications/", notifications.inbox_page, name="notifications"),
    path(
        "notifications/all/",
        notifications.inbox_page,
        {"show_all": True},
        name="notifications-all",
    ),
    path("notifications/read/", notifications.read_all, name="notifications-read"),
    path(
        "notifications/preferences/",
        notifications.preferences_page,
        name="notification-preferences",
    ),
    path(
        "notifications/<uuid:notification_id>/read/", notifications.read, name="notification-read"
    ),
    path("audit/", people.audit, name="audit"),
    path("settings/", preferences.settings_page, name="settings"),
    path("settings/webhooks/", webhooks.webhook_list, name="webhooks"),
    path("settings/webhooks/<uuid:endpoint_id>/", webhooks.webhook, name="webhook"),
    path("settings/webhooks/<uuid:endpoint_id>/ping/", webhooks.ping, name="webhook-ping"),
    path("settings/webhooks/<uuid:endpoint_id>/secret/", webhooks.rotate, name="webhook-rotate"),
    path("settings/webhooks/<uuid:endpoint_id>/switch/", webhooks.switch, name="webhook-switch"),
    path("settings/webhooks/<uuid:endpoint_id>/remove/", webhooks.remove, name="webhook-remove"),
    path(
        "settings/webhooks/<uuid:endpoint_id>/deliveries/<uuid:delivery_id>/replay/",
        webhooks.replay,
        name="webhook-replay",
    ),
    path("settings/ingest/", preferences.ingest_rules_change, name="ingest-rules"),
    path("settings/api-keys/", preferences.api_key_new, name="api-key-new"),
    path("settings/api-keys/<int:api_key_id>/", preferences.api_key_revoke, name="api-key-revoke"),
]
