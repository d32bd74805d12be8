from django.urls import path

from telemetry.api import alarms, views

app_name = "telemetry-api"
urlpatterns = [
    path("devices", views.Devices.as_view(), name="devices"),
    path("devices/<int:device_id>", views.DeviceDetail.as_view(), name="device"),
    path("devices/<int:device_id>/tokens", views.DeviceTokens.as_view(), name="device-tokens"),
    path(
        "devices/<int:device_id>/tokens/<int:credential_id>",
        views.DeviceToken.as_view(),
        name="device-token",
    ),
    path("devices/<int:device_id>/signals", views.Signals.as_view(), name="signals"),
    path(
        "devices/<int:device_id>/signals/<int:signal_id>",
        views.SignalDetail.as_view(),
        name="signal",
    ),
    path("devices/<int:device_id>/series", views.Series.as_view(), name="series"),
    path("devices/<int:device_id>/latest", views.DeviceLatest.as_view(), name="device-latest"),
    path("devices/<int:device_id>/revisions", views.Revisions.as_view(), name="revisions"),
    path("latest", views.Latest.as_view(), name="latest"),
    path("alarm-rules", alarms.Rules.as_view(), name="alarm-rules"),
    path("alarm-rules/preview", alarms.Preview.as_view(), name="alarm-preview"),
    path("alarm-rules/yaml", alarms.Rulebook.as_view(), name="alarm-rulebook"),
    path("alarm-rules/<int:rule_id>", alarms.RuleDetail.as_view(), name="alarm-rule"),
    path("alarms", alarms.Alarms.as_view(), name="alarms"),
    path("alarms/<int:alarm_id>", alarms.AlarmDetail.as_view(), name="alarm"),
    path("alarms/<int:alarm_id>/actions", alarms.AlarmAction.as_view(), name="alarm-action"),
]
