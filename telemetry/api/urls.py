from django.urls import path

from telemetry.api import alarms, claims, exports, imports, insight, several, views

app_name = "telemetry-api"
urlpatterns = [
    path("devices", views.Devices.as_view(), name="devices"),
    path("devices/import", imports.DeviceImport.as_view(), name="device-import"),
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
    path("devices/<int:device_id>/counters", insight.Counters.as_view(), name="counters"),
    path("devices/<int:device_id>/stream", insight.Stream.as_view(), name="stream"),
    path("devices/<int:device_id>/quality", insight.Quality.as_view(), name="quality"),
    path("claim-codes", claims.ClaimCodes.as_view(), name="claim-codes"),
    path("claim-codes/<int:code_id>", claims.ClaimCodeDetail.as_view(), name="claim-code"),
    path("claim", claims.Claim.as_view(), name="claim"),
    path("series", several.SeveralSeries.as_view(), name="several-series"),
    path("exports", exports.Exports.as_view(), name="exports"),
    path("exports/<uuid:export_id>", exports.ExportDetail.as_view(), name="export"),
    path("exports/<uuid:export_id>/file", exports.ExportFile.as_view(), name="export-file"),
    path("latest", views.Latest.as_view(), name="latest"),
    path("alarm-rules", alarms.Rules.as_view(), name="alarm-rules"),
    path("alarm-rules/preview", alarms.Preview.as_view(), name="alarm-preview"),
    path("alarm-rules/yaml", alarms.Rulebook.as_view(), name="alarm-rulebook"),
    path("alarm-rules/<int:rule_id>", alarms.RuleDetail.as_view(), name="alarm-rule"),
    path("alarms", alarms.Alarms.as_view(), name="alarms"),
    path("alarms/<int:alarm_id>", alarms.AlarmDetail.as_view(), name="alarm"),
    path("alarms/<int:alarm_id>/actions", alarms.AlarmAction.as_view(), name="alarm-action"),
]
