"""The API of alarms and of the rules that raise them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from telemetry.alarms.rulebook import BadRulebook
from telemetry.api import alarm_serializers as serializers
from telemetry.models import Alarm, AlarmRule
from telemetry.selectors import alarm_preview
from telemetry.selectors import alarms as selectors
from telemetry.services import alarm_rules
from telemetry.services import alarms as services
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.models import User

READ_AND_MANAGE = {
    "GET": "telemetry.view",
    "POST": "telemetry.manage_alarms",
    "PATCH": "telemetry.manage_alarms",
    "DELETE": "telemetry.manage_alarms",
}
_CONFLICT = OpenApiResponse(ErrorSerializer, description="It contradicts what is stored.")


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _rule(rule_id: int) -> AlarmRule:
    try:
        return selectors.rule(rule_id)
    except AlarmRule.DoesNotExist:
        raise Http404 from None


def _alarm(alarm_id: int) -> Alarm:
    try:
        return selectors.alarm(alarm_id)
    except Alarm.DoesNotExist:
        raise Http404 from None


def _refused(code: str, message: str, detail: dict[str, Any]) -> Response:
    """Say why something that is well-formed cannot be used."""
    body = {"code": code, "message": message, "detail": detail}
    return Response(body, status=status.HTTP_409_CONFLICT)


def _bad_rule(error: alarm_rules.BadRule) -> Response:
    return _refused("bad_rule", "The rule cannot be used; detail names each path.", error.errors)


def _columns(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return checked input by the names of columns."""
    places = ("line", "machine_type", "machine")
    plain = {name: value for name, value in data.items() if name not in places}
    return plain | {
        f"{name}_id": data[name].pk if data[name] else None for name in places if name in data
    }


class Rules(generics.ListCreateAPIView[AlarmRule]):
    """Rules by severity and name."""

    required_permission = READ_AND_MANAGE
    serializer_class = serializers.RuleSerializer

    def get_queryset(self) -> QuerySet[AlarmRule]:
        return selectors.rules()

    @extend_schema(responses={201: serializers.RuleSerializer, 409: _CONFLICT})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a rule; it applies to what is measured from now on."""
        sent = self.get_serializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            rule = alarm_rules.create_rule(
                fields=_columns(sent.validated_data), by=_person(request), at=timezone.now()
            )
        except alarm_rules.BadRule as error:
            return _bad_rule(error)
        except alarm_rules.RuleExists as error:
            raise Conflict("Another rule has this key.", code="key_taken") from error
        except alarm_rules.TooManyRules as error:
            raise Conflict("There are as many rules as may be.", code="too_many") from error
        return Response(self.get_serializer(rule).data, status=status.HTTP_201_CREATED)


class RuleDetail(generics.RetrieveUpdateDestroyAPIView[AlarmRule]):
    """One rule. Where it watches something else from now on, its open alarms end."""

    required_permission = READ_AND_MANAGE
    serializer_class = serializers.RuleSerializer
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def get_object(self) -> AlarmRule:
        return _rule(self.kwargs["rule_id"])

    @extend_schema(responses={200: serializers.RuleSerializer, 409: _CONFLICT})
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a rule; what is watched is then watched anew from now on."""
        rule = self.get_object()
        sent = self.get_serializer(rule, data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        changes = _columns(sent.validated_data)
        changes.pop("key", None)  # by it a rule is known elsewhere
        try:
            rule = alarm_rules.change_rule(
                rule=rule, changes=changes, by=_person(request), at=timezone.now()
            )
        except alarm_rules.BadRule as error:
            return _bad_rule(error)
        return Response(self.get_serializer(rule).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Delete the rule with the alarms that it raised; switching it off keeps them."""
        alarm_rules.delete_rule(rule=self.get_object(), by=_person(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class Preview(APIView):
    """When a rule would have fired."""

    required_permission = "telemetry.manage_alarms"

    @extend_schema(
        request=serializers.PreviewQuerySerializer,
        responses={200: serializers.PreviewSerializer(many=True), 409: _CONFLICT},
    )
    def post(self, request: Request) -> Response:
        """Say when a rule, which need not be saved, would have fired on stored readings."""
        sent = serializers.PreviewQuerySerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = dict(sent.validated_data)
        start, end = fields.pop("start"), fields.pop("end")
        try:
            rule = alarm_rules.draft(fields=_columns(fields), at=timezone.now())
            found = alarm_preview.preview(rule, start=start, end=end)
        except alarm_rules.BadRule as error:
            return _bad_rule(error)
        except alarm_preview.EmptyRange:
            return _refused("empty_range", "The end must lie after the start.", {})
        except alarm_preview.TooMuch as error:
            raise Conflict(str(error), code="too_much") from error
        return Response([asdict(one) for one in found])


class Rulebook(APIView):
    """All rules as YAML."""

    required_permission = READ_AND_MANAGE

    @extend_schema(responses=serializers.RulebookSerializer)
    def get(self, request: Request) -> Response:
        """All rules as YAML, to keep or to carry to another factory."""
        return Response({"yaml": alarm_rules.export_rules()})

    @extend_schema(
        request=serializers.RulebookImportSerializer,
        responses={200: serializers.RulebookImportedSerializer, 409: _CONFLICT},
    )
    def post(self, request: Request) -> Response:
        """Bring rules in line with a text, by their keys; all or nothing."""
        sent = serializers.RulebookImportSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            done = alarm_rules.import_rules(
                text=sent.validated_data["yaml"],
                dry_run=sent.validated_data["dry_run"],
                by=_person(request),
                at=timezone.now(),
            )
        except BadRulebook as error:
            message = "Nothing was changed; detail names each rule and path."
            return _refused("bad_rulebook", message, {"rules": error.errors})
        except alarm_rules.TooManyRules as error:
            raise Conflict("There would be too many rules.", code="too_many") from error
        return Response(asdict(done))


class Alarms(generics.ListAPIView[Alarm]):
    """Alarms in one state."""

    required_permission = "telemetry.view"
    serializer_class = serializers.AlarmSerializer
    STATES = ("open", "taken", "cleared", "silent")

    def get_queryset(self) -> QuerySet[Alarm]:
        if getattr(self, "swagger_fake_view", False):
            return Alarm.objects.none()
        at = timezone.now()
        match self.request.query_params.get("state", "open"):
            case "open":
                return selectors.open_alarms(at=at)
            case "taken":
                return selectors.taken_alarms(at=at)
            case "silent":
                return selectors.silent_alarms(at=at)
            case "cleared":
                return selectors.cleared_alarms()
        raise ValidationError({"state": f"Expected one of {', '.join(self.STATES)}."})

    @extend_schema(parameters=[OpenApiParameter("state", str, enum=STATES)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Alarms that are open (the default), taken, cleared, or silenced."""
        return super().get(request, *args, **kwargs)


class AlarmDetail(generics.RetrieveAPIView[Alarm]):
    """One alarm with its log."""

    required_permission = "telemetry.view"
    serializer_class = serializers.AlarmDetailSerializer

    def get_object(self) -> Alarm:
        return _alarm(self.kwargs["alarm_id"])


class AlarmAction(APIView):
    """What a person does with an alarm."""

    required_permission = "telemetry.handle_alarms"
    works_read_only = True

    @extend_schema(
        request=serializers.ActionSerializer,
        responses={200: serializers.AlarmDetailSerializer, 409: _CONFLICT},
    )
    def post(self, request: Request, alarm_id: int) -> Response:
        """Take it, comment, shelve (with a reason and an end), take out of service, or reset."""
        found = _alarm(alarm_id)
        sent = serializers.ActionSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        action, text = sent.validated_data["action"], sent.validated_data["text"]
        until = sent.validated_data.get("until")
        if action == "shelve" and until is None:
            return _refused("not_possible", "Say until when it is shelved.", {})
        try:
            services.act(
                alarm=found, action=action, text=text, until=until, by=_person(request),
                at=timezone.now(),
            )  # fmt: skip
        except services.NotPossible as error:
            raise Conflict(str(error), code="not_possible") from error
        return Response(serializers.AlarmDetailSerializer(_alarm(alarm_id)).data)
