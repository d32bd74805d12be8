from datetime import timedelta
from uuid import UUID

from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from analytics import selectors
from analytics.api.serializers import (
    LONGEST_TIMELINE,
    FloorSerializer,
    PeriodSerializer,
    TimelineSerializer,
)
from production.models import Machine
from tenants.api.errors import ErrorSerializer

USUAL_TIMELINE = timedelta(hours=8)


class Floor(APIView):
    """What every machine does now, and what needs a person."""

    required_permission = "analytics.view"

    @extend_schema(responses=FloorSerializer)
    def get(self, request: Request) -> Response:
        return Response(FloorSerializer(selectors.overview(at=timezone.now())).data)


class Timeline(APIView):
    """The states of one machine over a period."""

    required_permission = "analytics.view"

    @extend_schema(
        parameters=[PeriodSerializer],
        responses={
            200: TimelineSerializer,
            400: OpenApiResponse(ErrorSerializer, "The period is not usable."),
            404: OpenApiResponse(ErrorSerializer, "There is no such machine."),
        },
    )
    def get(self, request: Request, machine_id: UUID) -> Response:
        period = PeriodSerializer(data=request.query_params)
        period.is_valid(raise_exception=True)
        now = timezone.now()
        end = period.validated_data.get("end", now)
        start = period.validated_data.get("start", end - USUAL_TIMELINE)
        start = max(start, end - LONGEST_TIMELINE)
        try:
            timeline = selectors.machine_timeline(
                machine_id=machine_id, start=start, end=end, at=now
            )
        except Machine.DoesNotExist as error:
            raise Http404 from error
        return Response(TimelineSerializer(timeline).data)
