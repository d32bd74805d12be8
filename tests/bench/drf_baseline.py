"""What a team builds by hand with Django REST framework: the other side of the comparison.

One table with a row per value and a unique key, so that a repeat is not stored twice; the token
looked up by its digest; a serializer that names each bad item; `bulk_create` with
`ignore_conflicts`. Plain and sound Django, served the faster of its two ways (WSGI with
persistent connections: measured at 1.2 to 1.5 times ASGI). It has no `latest`, no usage counts,
no revisions and no merging, so it does less per reading than what it is compared with.

Run as `granian --interface wsgi tests.bench.drf_baseline:application`; `python -m
tests.bench.drf_baseline N` makes the tables and prints N tokens.
"""

# ruff: noqa: E402  one file holds settings, models and view, in the order Django wants

import hashlib
import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import django
from django.conf import settings

_database = urlsplit(os.environ["BASELINE_DATABASE_URL"])
settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework"],
    MIDDLEWARE=[],
    LOGGING_CONFIG=None,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _database.hostname,
            "PORT": _database.port,
            "USER": _database.username,
            "PASSWORD": _database.password,
            "NAME": _database.path.lstrip("/"),
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
        "UNAUTHENTICATED_USER": None,
    },
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Device(models.Model):
    name = models.CharField(max_length=120)
    digest = models.BinaryField(unique=True)
    revoked_at = models.DateTimeField(null=True)
    objects = models.Manager()

    is_authenticated = True

    class Meta:
        app_label = "baseline"

    def __str__(self) -> str:
        return self.name


class Point(models.Model):
    device = models.ForeignKey(Device, on_delete=models.CASCADE, db_index=False)
    key = models.CharField(max_length=128)
    measured_at = models.DateTimeField()
    value = models.FloatField()
    objects = models.Manager()

    class Meta:
        app_label = "baseline"
        constraints = [
            models.UniqueConstraint(fields=["device", "key", "measured_at"], name="point_unique")
        ]

    def __str__(self) -> str:
        return f"{self.key} at {self.measured_at}"


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Device, None]:
        _, _, token = request.headers.get("Authorization", "").partition(" ")
        digest = hashlib.sha256(token.encode()).digest()
        device = Device.objects.filter(digest=digest, revoked_at=None).first()
        if device is None:
            raise AuthenticationFailed
        return device, None


class ReadingSerializer(serializers.Serializer[Any]):
    ts = serializers.DateTimeField()
    values = serializers.DictField(child=serializers.FloatField(), allow_empty=False)

    def validate_ts(self, ts: datetime) -> datetime:
        if ts > datetime.now(UTC) + timedelta(days=1):
            raise serializers.ValidationError("in the future")
        return ts


class TelemetryView(APIView):
    authentication_classes = [TokenAuthentication]
    permission_classes = [IsAuthenticated]

    def post(self, request: Request) -> Response:
        is_many = isinstance(request.data, list)
        sent = ReadingSerializer(data=request.data, many=is_many)
        sent.is_valid(raise_exception=True)
        readings = sent.validated_data if is_many else [sent.validated_data]
        points = [
            Point(device=request.user, key=key, measured_at=reading["ts"], value=value)
            for reading in readings
            for key, value in reading["values"].items()
        ]
        Point.objects.bulk_create(points, ignore_conflicts=True)
        return Response({"received": len(readings)})


urlpatterns = [path("api/v1/telemetry", TelemetryView.as_view())]
application = get_wsgi_application()


def prepare(n_devices: int) -> list[str]:
    """Make the tables anew and `n_devices` devices; returns their tokens."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS baseline_point, baseline_device")
    with connection.schema_editor() as editor:
        editor.create_model(Device)
        editor.create_model(Point)
    tokens = ["takt_dev_" + secrets.token_urlsafe(32) for _ in range(n_devices)]
    Device.objects.bulk_create(
        Device(name=f"device {i}", digest=hashlib.sha256(token.encode()).digest())
        for i, token in enumerate(tokens)
    )
    return tokens


if __name__ == "__main__":
    print("\n".join(prepare(int(sys.argv[1]))))
