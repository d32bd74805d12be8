"""The budget and the caps: read by keys, set by signed-in people."""

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import selectors, services
from billing.api import examples
from billing.caps import ACTIONS, KEEP, REFUSE
from billing.plans import Item
from billing.services import budgets
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import User

_TAG = ["billing"]
_MANAGE = {"GET": "billing.view", "PUT": "billing.manage"}
_MOST = 10**15


class AlertSerializer(serializers.Serializer[Any]):
    percent = serializers.IntegerField()
    amount_minor = serializers.IntegerField()
    state = serializers.CharField(
        help_text="sent, reached (said within the hour), likely, not_this_month"
    )
    on = serializers.DateField(allow_null=True)


class BudgetSerializer(serializers.Serializer[Any]):
    """What a month should cost at most, and when its shares are said. It stops nothing."""

    amount_minor = serializers.IntegerField(allow_null=True, help_text="Null: no budget")
    currency = serializers.CharField()
    left_minor = serializers.IntegerField(allow_null=True)
    recipients = serializers.CharField()
    alerts = AlertSerializer(many=True)


class NewBudgetSerializer(serializers.Serializer[Any]):
    amount_minor = serializers.IntegerField(min_value=1, max_value=10**12, allow_null=True)


class CapSerializer(serializers.Serializer[Any]):
    """Where a meter stops. `action` is what becomes of what comes beyond: keep or refuse."""

    item = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so
    max_extra = serializers.IntegerField(allow_null=True, help_text="Null: no cap")
    extra_so_far = serializers.IntegerField()
    action = serializers.CharField()
    actions = serializers.ListField(child=serializers.CharField())
    reached_at = serializers.DateTimeField(allow_null=True)
    held = serializers.IntegerField()
    keep_until = serializers.DateTimeField(allow_null=True)
    buy_back_minor = serializers.IntegerField()
    words = serializers.CharField()


class NewCapSerializer(serializers.Serializer[Any]):
    item = serializers.ChoiceField([item.value for item in ACTIONS])
    max_extra = serializers.IntegerField(min_value=0, max_value=_MOST, allow_null=True)
    action = serializers.ChoiceField([KEEP.value, REFUSE.value])


class BudgetView(APIView):
    """The budget of a month."""

    required_permission = _MANAGE
    works_suspended = True

    @extend_schema(
        operation_id="budget_retrieve",
        tags=_TAG,
        summary="The budget and its alerts",
        responses=BudgetSerializer,
        examples=[examples.BUDGET],
    )
    def get(self, _request: Request) -> Response:
        factory = current_factory()
        view = selectors.budget_view(factory, timezone.now())
        return Response(
            BudgetSerializer(
                {
                    "amount_minor": view.amount_minor,
                    "currency": services.account_for(factory).currency,
                    "left_minor": view.left_minor,
                    "recipients": view.recipients,
                    "alerts": view.alerts,
                }
            ).data
        )

    @extend_schema(
        operation_id="budget_set",
        tags=_TAG,
        summary="Set the budget, or do without one",
        description="API keys may not set it.",
        request=NewBudgetSerializer,
        responses=BudgetSerializer,
        examples=[examples.NEW_BUDGET, examples.BUDGET],
    )
    def put(self, request: Request) -> Response:
        asked = NewBudgetSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        budgets.set_budget(
            factory=current_factory(),
            amount_minor=asked.validated_data["amount_minor"],
            by=_person(request),
            at=timezone.now(),
        )
        return self.get(request)


class CapsView(APIView):
    """Where the meters stop."""

    required_permission = _MANAGE
    works_suspended = True

    @extend_schema(
        operation_id="caps_list",
        tags=_TAG,
        summary="Every meter that can be capped",
        responses=CapSerializer(many=True),
        examples=[examples.CAPS],
    )
    def get(self, _request: Request) -> Response:
        found = selectors.cap_views(current_factory(), timezone.now())
        return Response(CapSerializer(found, many=True).data)

    @extend_schema(
        operation_id="caps_set",
        tags=_TAG,
        summary="Cap a meter, or lift its cap",
        description="409 where more is charged already this month. API keys may not set it.",
        request=NewCapSerializer,
        responses={
            200: CapSerializer(many=True),
            409: OpenApiResponse(ErrorSerializer, "More is charged already this month"),
        },
        examples=[examples.NEW_CAP, examples.CAPS],
    )
    def put(self, request: Request) -> Response:
        asked = NewCapSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        try:
            budgets.set_cap(
                factory=current_factory(),
                item=Item(wanted["item"]),
                max_extra=wanted["max_extra"],
                action=wanted["action"],
                by=_person(request),
                at=timezone.now(),
            )
        except budgets.CapBelowUse as error:
            raise Conflict(f"{error} Choose {error.least:,} or more.") from error
        except budgets.CapNotOffered as error:
            offered = " or ".join(ACTIONS[Item(wanted["item"])])
            raise exceptions.ValidationError({"action": f"This meter knows: {offered}."}) from error
        return self.get(request)


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None
