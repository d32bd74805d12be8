from django.urls import path

from frontend.views import (
    billing,
    device_ways_in,
    devices,
    machines,
    now,
    people,
    preferences,
    start,
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
    path("audit/", people.audit, name="audit"),
    path("settings/", preferences.settings_page, name="settings"),
    path("settings/api-keys/", preferences.api_key_new, name="api-key-new"),
    path("settings/api-keys/<int:api_key_id>/", preferences.api_key_revoke, name="api-key-revoke"),
]
