"""Plans and the subscription: what there is, what a choice would do, and the choice itself."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing import plans, selectors, services
from billing.api import examples
from billing.api.subscription_serializers import (
    ChangePreviewSerializer,
    PlanChoiceSerializer,
    PlansSerializer,
    SubscriptionSerializer,
    plans_body,
    preview_body,
    subscription_body,
)
from billing.gateways import StripeAway
from billing.services import ChangePreview, discounts
from tenants.api.errors import Conflict, ErrorSerializer
from tenants.context import current_factory
from tenants.models import User

_TAG = ["billing"]
_CONFLICT = OpenApiResponse(ErrorSerializer, "It contradicts how the subscription stands")


class PlansView(APIView):
    """What can be chosen, with prices in the currency of the account."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="plans_retrieve",
        tags=_TAG,
        summary="Plans and prices",
        responses=PlansSerializer,
        examples=[examples.PLANS],
    )
    def get(self, _request: Request) -> Response:
        account = services.account_for(current_factory())
        return Response(PlansSerializer(plans_body(account.currency)).data)


class SubscriptionView(APIView):
    """How the subscription stands; choosing and cancelling are for signed-in people."""

    required_permission = {
        "GET": "billing.view",
        "POST": "billing.manage",
        "DELETE": "billing.manage",
    }
    works_suspended = True

    @extend_schema(
        operation_id="subscription_retrieve",
        tags=_TAG,
        summary="How the subscription stands",
        responses=SubscriptionSerializer,
        examples=[examples.SUBSCRIPTION],
    )
    def get(self, _request: Request) -> Response:
        return Response(SubscriptionSerializer(subscription_body(current_factory())).data)

    @extend_schema(
        operation_id="subscription_choose",
        tags=_TAG,
        summary="Choose a plan",
        description="A larger plan holds at once, a smaller one from the next month on. With"
        " `expected_amount_minor`, as the preview said it, nothing is done where the amount has"
        " changed since. A promotion code that is not good is refused with 400, and nothing is"
        " started. API keys may not choose.",
        request=PlanChoiceSerializer,
        responses={200: SubscriptionSerializer, 409: _CONFLICT},
        examples=[examples.CHOICE, examples.SUBSCRIPTION],
    )
    def post(self, request: Request) -> Response:
        choice = _choice(request)
        _choose(choice, by=_person(request))
        return self.get(request)

    @extend_schema(
        operation_id="subscription_cancel",
        tags=_TAG,
        summary="Cancel at the end of the month",
        responses={200: SubscriptionSerializer, 409: _CONFLICT},
        examples=[examples.SUBSCRIPTION],
    )
    def delete(self, request: Request) -> Response:
        try:
            services.cancel_subscription(factory=current_factory(), by=_person(request))
        except services.NotSubscribed as error:
            raise Conflict("There is no paid plan.") from error
        return self.get(request)


class KeepView(APIView):
    """Take back what was chosen for later."""

    required_permission = "billing.manage"
    works_suspended = True

    @extend_schema(
        operation_id="subscription_keep",
        tags=_TAG,
        summary="Take back an end or a smaller plan that was chosen for later",
        request=None,
        responses={200: SubscriptionSerializer, 409: _CONFLICT},
        examples=[examples.SUBSCRIPTION],
    )
    def post(self, request: Request) -> Response:
        try:
            services.reactivate(factory=current_factory(), by=_person(request))
        except services.NotSubscribed as error:
            raise Conflict("There is no paid plan.") from error
        return Response(SubscriptionSerializer(subscription_body(current_factory())).data)


class PreviewView(APIView):
    """What choosing a plan would do; nothing is changed."""

    required_permission = "billing.view"
    works_suspended = True

    @extend_schema(
        operation_id="subscription_preview",
        tags=_TAG,
        summary="What choosing a plan would do and cost",
        request=PlanChoiceSerializer,
        responses=ChangePreviewSerializer,
        examples=[examples.CHOICE, examples.PREVIEW],
    )
    def post(self, request: Request) -> Response:
        found = _preview(_choice(request))
        return Response(ChangePreviewSerializer(preview_body(found, current_factory())).data)


def _choice(request: Request) -> dict[str, Any]:
    asked = PlanChoiceSerializer(data=request.data)
    asked.is_valid(raise_exception=True)
    return dict(asked.validated_data)


@contextmanager
def _code_refused() -> Iterator[None]:
    """Answer what is wrong with a promotion code."""
    try:
        yield
    except discounts.UnknownCode as error:
        raise ValidationError({"promotion_code": [str(error)]}) from error
    except StripeAway as error:
        raise Conflict(
            "The promotion code cannot be checked now; try again in a minute."
        ) from error


def _preview(choice: dict[str, Any]) -> ChangePreview:
    with _code_refused():
        return services.preview_change(
            factory=current_factory(),
            plan=choice["plan"],
            at=timezone.now(),
            code=choice["promotion_code"],
            trial=choice["trial"],
        )


def _choose(choice: dict[str, Any], *, by: User | None) -> None:
    factory, plan = current_factory(), choice["plan"]
    expected, now_minor = choice.get("expected_amount_minor"), _preview(choice).amount_minor
    if expected is not None and expected != now_minor:
        raise Conflict(f"The amount is {now_minor} by now. Look at the preview again.")
    try:
        if plans.plan(plan).is_paid and selectors.subscription_of(factory) is None:
            with _code_refused():
                discounts.start_with_code(
                    factory=factory,
                    plan=plan,
                    code=choice["promotion_code"],
                    by=by,
                    trial=choice["trial"],
                    at=timezone.now(),
                )
        else:
            services.change_plan(factory=factory, plan=plan, by=by)
    except services.TooMuchInUse as error:
        raise Conflict(str(error)) from error
    except services.TrialUsed as error:
        raise Conflict("The trial was used before.") from error
    except services.AlreadySubscribed as error:
        raise Conflict("Somebody chose a plan a moment ago.") from error
    except services.NotSubscribed as error:
        raise Conflict("The factory is on this plan already.") from error


def _person(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None
