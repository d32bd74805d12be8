"""Endpoints of vibration: bursts come in, figures, diagnoses and spectra go out."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mlops import bursts, selectors, services
from mlops.api import vibration_serializers as forms
from mlops.models import VibrationBurst
from mlops.vibration.pictures import Mark
from mlops.vibration.spectra import Spectrum
from production import selectors as production_selectors
from production.models import Machine


def _machine(machine_id: UUID) -> Machine:
    rows = production_selectors.machines(include_retired=True)
    found: Machine = get_object_or_404(rows, pk=machine_id)
    return found


class Bursts(generics.GenericAPIView[VibrationBurst]):
    """Bursts of vibration of one machine."""

    required_permission = {"GET": "mlops.view", "POST": "telemetry.manage_devices"}
    works_read_only = True
    serializer_class = forms.BurstSerializer
    queryset = VibrationBurst.objects.none()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Look for the machine before the body: a stranger learns nothing from an error."""
        super().initial(request, *args, **kwargs)
        self.machine = _machine(self.kwargs["machine_id"])

    @extend_schema(
        summary="List bursts of vibration, newest first, with their figures",
        parameters=[OpenApiParameter("point", str)],
        responses=forms.BurstSerializer(many=True),
        operation_id="machines_vibration_list",
    )
    def get(self, request: Request, machine_id: UUID) -> Response:
        point = request.query_params.get("point", "").replace("\0", "")
        rows: QuerySet[VibrationBurst] = selectors.bursts_of(self.machine.pk, point=point or None)
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        summary="Post bursts of vibration",
        description="Each burst is checked by itself and judged as it is stored. A burst is known "
        "by machine, point and time: sent again, it counts as a duplicate.",
        request=forms.BurstUploadSerializer,
        responses={200: forms.BurstReceiptSerializer},
        operation_id="machines_vibration_create",
    )
    def post(self, request: Request, machine_id: UUID) -> Response:
        body = forms.BurstBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        receipt = services.store_bursts(
            machine=self.machine, raw=body.validated_data["bursts"], now=timezone.now()
        )
        return Response(forms.BurstReceiptSerializer(receipt).data)


class BurstDetail(APIView):
    """One burst with its spectrum and envelope spectrum."""

    required_permission = "mlops.view"

    @extend_schema(
        summary="Read a burst of vibration with its spectra",
        responses=forms.BurstDetailSerializer,
    )
    def get(self, request: Request, machine_id: UUID, burst_id: UUID) -> Response:
        machine = _machine(machine_id)
        try:
            row = selectors.burst(burst_id, machine_id=machine.pk)
        except VibrationBurst.DoesNotExist:
            raise Http404 from None
        place = selectors.bearing_places(machine).get(row.point)
        drawn = bursts.picture(row, bursts.place_of(place))
        answer: dict[str, Any] = {
            **forms.BurstSerializer(row).data, "spectrum": None, "envelope": None,
        }  # fmt: skip
        if drawn is not None:
            answer |= {
                "figures": drawn.judgement.figures,
                "diagnosis": drawn.judgement.told,
                "spectrum": _spectrum(drawn.spectrum, drawn.expected),
                "envelope": _spectrum(drawn.envelope, drawn.marks),
            }
        return Response(answer)


def _spectrum(found: Spectrum, marks: tuple[Mark, ...]) -> dict[str, Any]:
    answer = {
        "frequency_hz": found.frequency_hz.round(3).tolist(),
        "amplitude_g": found.amplitude_g.tolist(),
        "band_hz": found.band_hz,
        "marks": marks,
    }
    return dict(forms.SpectrumSerializer(answer).data)
