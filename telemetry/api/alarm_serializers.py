"""Shapes of the alarm API."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from production.models import Line, Machine, MachineType
from telemetry.alarms.conditions import MAX_S
from telemetry.alarms.rulebook import MAX_BYTES
from telemetry.models import Alarm, AlarmEvent, AlarmRule
from telemetry.selectors import alarms as selectors

_CONDITION = {
    "duration": {
        "for_s": 60,
        "condition": {
            "threshold": {"signal": "vib_rms_mm_s", "op": ">", "value": 4.5, "clear": 4.0}
        },
    }
}
_EXAMPLE = {
    "name": "Spindle vibration",
    "scope": "factory",
    "severity": 3,
    "condition": _CONDITION,
    "schedule": {"kind": "planned"},
    "hold_s": 300,
    "advice": "Check the tool, then the spindle bearing.",
    "escalation": [],
}


@extend_schema_field({"type": "object", "additionalProperties": True})
class TreeField(serializers.JSONField):
    """A tree of JSON; the service checks it and names what is wrong by its path."""


@extend_schema_field({"type": "array", "items": {"type": "object", "additionalProperties": True}})
class StepsField(serializers.JSONField):
    """Steps of escalation: {"after_min": 10, "user_ids": [3]}; no ids is everybody."""


def _one_of(model: Any) -> Any:
    return serializers.PrimaryKeyRelatedField(
        queryset=model.objects.all(), allow_null=True, required=False
    )


@extend_schema_serializer(
    examples=[OpenApiExample("Vibration of every machine", value=_EXAMPLE, request_only=True)]
)
class RuleSerializer(serializers.ModelSerializer[AlarmRule]):
    """What is watched for, and on which machines."""

    condition = TreeField()
    schedule = TreeField(required=False)
    escalation = StepsField(required=False)
    hold_s = serializers.FloatField(min_value=1, max_value=MAX_S, required=False)
    advice = serializers.CharField(max_length=1000, allow_blank=True, required=False)
    line = _one_of(Line)
    machine_type = _one_of(MachineType)
    machine = _one_of(Machine)

    class Meta:
        model = AlarmRule
        fields = (
            "id", "key", "name", "scope", "line", "machine_type", "machine", "severity",
            "condition", "schedule", "hold_s", "advice", "latched", "escalation", "enabled",
            "version", "valid_from", "changed_at",
        )  # fmt: skip
        read_only_fields = ("id", "version", "valid_from", "changed_at")
        # A taken key is a conflict, found by the service.
        extra_kwargs: ClassVar[dict[str, Any]] = {"key": {"validators": [], "required": False}}


class EventSerializer(serializers.ModelSerializer[AlarmEvent]):
    """What happened to an alarm."""

    by = serializers.SerializerMethodField()

    class Meta:
        model = AlarmEvent
        fields = ("at", "kind", "by", "text")

    def get_by(self, event: AlarmEvent) -> str | None:
        return str(event.person) if event.person else None


class AlarmSerializer(serializers.ModelSerializer[Alarm]):
    """One time that a rule was on. Times are measured times; late data may correct them."""

    rule = serializers.IntegerField(source="point.rule_id", read_only=True)
    name = serializers.CharField(source="point.rule.name", read_only=True)
    target = serializers.SerializerMethodField()
    machine = serializers.UUIDField(source="point.machine_id", read_only=True, allow_null=True)
    device = serializers.IntegerField(source="point.device_id", read_only=True, allow_null=True)
    shelved_until = serializers.DateTimeField(
        source="point.shelved_until", read_only=True, allow_null=True
    )
    evidence = serializers.DictField(child=serializers.FloatField(), read_only=True)

    class Meta:
        model = Alarm
        fields = (
            "id", "rule", "name", "target", "machine", "device", "severity", "raised_at",
            "cleared_at", "noticed_at", "sounded_at", "evidence", "acknowledged_at",
            "shelved_until", "reset_at", "withdrawn_at", "n_escalations", "flood",
        )  # fmt: skip

    def get_target(self, found: Alarm) -> str:
        return selectors.target_name(found)


class AlarmDetailSerializer(AlarmSerializer):
    """An alarm with its log."""

    events = EventSerializer(many=True, read_only=True)

    class Meta(AlarmSerializer.Meta):
        fields = (*AlarmSerializer.Meta.fields, "events")  # type: ignore[assignment]


ACTIONS = (
    "acknowledge", "comment", "reset", "shelve", "unshelve", "take_out_of_service",
    "put_in_service",
)  # fmt: skip


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "I take it", value={"action": "acknowledge", "text": "On my way"}, request_only=True
        )
    ]
)
class ActionSerializer(serializers.Serializer[dict[str, Any]]):
    """What is done with an alarm; `until` goes with shelving, which needs a reason in `text`."""

    action = serializers.ChoiceField(choices=ACTIONS)
    text = serializers.CharField(max_length=500, allow_blank=True, required=False, default="")
    until = serializers.DateTimeField(required=False)


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "The last day",
            value={**_EXAMPLE, "start": "2026-11-16T00:00:00Z", "end": "2026-11-17T00:00:00Z"},
            request_only=True,
        )
    ]
)
class PreviewQuerySerializer(RuleSerializer):
    """A rule that need not be saved, and the range to look at."""

    start = serializers.DateTimeField(write_only=True)
    end = serializers.DateTimeField(write_only=True)

    class Meta(RuleSerializer.Meta):
        fields = (*RuleSerializer.Meta.fields, "start", "end")  # type: ignore[assignment]


class FiringSerializer(serializers.Serializer[Any]):
    """One time that a rule would have been on."""

    raised_at = serializers.DateTimeField()
    cleared_at = serializers.DateTimeField(allow_null=True)
    is_heard = serializers.BooleanField()
    evidence = serializers.DictField(child=serializers.FloatField())


class PreviewSerializer(serializers.Serializer[Any]):
    """What a rule would have done on one machine."""

    target = serializers.CharField()
    machine_id = serializers.UUIDField(allow_null=True)
    firings = FiringSerializer(many=True)


class RulebookSerializer(serializers.Serializer[dict[str, Any]]):
    """All rules as YAML."""

    yaml = serializers.CharField()


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "Nothing, for a try",
            value={"yaml": "takt_alarm_rules: 1\nrules: []\n", "dry_run": True},
            request_only=True,
        )
    ]
)
class RulebookImportSerializer(serializers.Serializer[dict[str, Any]]):
    """Rules as YAML; with `dry_run` nothing changes and the answer says what would."""

    yaml = serializers.CharField(max_length=MAX_BYTES, trim_whitespace=False)
    dry_run = serializers.BooleanField(default=False)


class RulebookImportedSerializer(serializers.Serializer[dict[str, Any]]):
    """What an import did, by the keys of rules."""

    created = serializers.ListField(child=serializers.CharField())
    changed = serializers.ListField(child=serializers.CharField())
    unchanged = serializers.ListField(child=serializers.CharField())
