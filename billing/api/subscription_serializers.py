from typing import Any

from rest_framework import serializers

from billing import plans, selectors, services
from billing.models import BillingAccount
from billing.plans import Plan
from billing.services import ChangePreview
from tenants.models import Factory


class SoldPlanSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    summary = serializers.CharField()
    machine_minor = serializers.IntegerField(help_text="Of an active machine and month")
    yearly_machine_minor = serializers.IntegerField(allow_null=True, help_text="Null: not offered")
    trial_days = serializers.IntegerField()
    included_readings_per_machine = serializers.IntegerField(allow_null=True)
    included = serializers.DictField(child=serializers.IntegerField())
    max_machines = serializers.IntegerField(allow_null=True, help_text="Null: no limit")
    max_people = serializers.IntegerField(allow_null=True)
    history_days = serializers.IntegerField(allow_null=True)


class ExtraSerializer(serializers.Serializer[Any]):
    item = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so
    price_minor = serializers.IntegerField()
    per = serializers.IntegerField()
    per_label = serializers.CharField()


class AddOnSerializer(serializers.Serializer[Any]):
    key = serializers.CharField()
    name = serializers.CharField()
    price_minor = serializers.IntegerField()
    plans = serializers.ListField(child=serializers.CharField())


class PlansSerializer(serializers.Serializer[Any]):
    """The price list. Amounts are minor units of `currency`, without tax."""

    currency = serializers.CharField()
    version = serializers.IntegerField()
    plans = SoldPlanSerializer(many=True)
    extras = ExtraSerializer(many=True)
    add_ons = AddOnSerializer(many=True)


class SubscriptionSerializer(serializers.Serializer[Any]):
    """How the subscription stands; `status` is empty on the free plan."""

    plan = serializers.CharField()
    version = serializers.IntegerField()
    status = serializers.CharField(allow_blank=True)
    currency = serializers.CharField()
    trial_end = serializers.DateTimeField(allow_null=True)
    next_plan = serializers.CharField(allow_null=True)
    ends_at = serializers.DateTimeField(allow_null=True)
    closes_factory = serializers.BooleanField()
    has_card = serializers.BooleanField()
    percent_off = serializers.IntegerField(allow_null=True)
    discount_ends_at = serializers.DateTimeField(allow_null=True)
    standing = serializers.ChoiceField(BillingAccount.Standing.choices)
    cause = serializers.CharField(
        allow_blank=True, help_text="unpaid, no_plan, cancelled; empty while all is well"
    )
    standing_until = serializers.DateTimeField(allow_null=True)


class PlanChoiceSerializer(serializers.Serializer[Any]):
    plan = serializers.ChoiceField([plan.key for plan in plans.ALL])
    trial = serializers.BooleanField(default=False)
    promotion_code = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=40,
        help_text="Takes a percentage off; with the first plan only",
    )
    expected_amount_minor = serializers.IntegerField(required=False, allow_null=True)


class ExcessSerializer(serializers.Serializer[Any]):
    what = serializers.CharField()
    used = serializers.IntegerField()
    allowed = serializers.IntegerField()


class ChangePreviewSerializer(serializers.Serializer[Any]):
    """What a choice would do. `excess` that is not empty: it would be refused."""

    plan = serializers.CharField()
    current = serializers.CharField()
    starts_at = serializers.DateTimeField()
    is_at_once = serializers.BooleanField()
    in_trial = serializers.BooleanField()
    n_machines = serializers.IntegerField(help_text="That pay the difference for the rest")
    amount_minor = serializers.IntegerField(help_text="Once, on the next invoice")
    currency = serializers.CharField()
    month_before_minor = serializers.IntegerField()
    month_after_minor = serializers.IntegerField()
    month_off_minor = serializers.IntegerField(
        help_text="Of month_after_minor, taken off the first invoice by the promotion code"
    )
    percent_off = serializers.IntegerField(allow_null=True)
    discount_ends_at = serializers.DateTimeField(
        allow_null=True, help_text="Invoices made before it are discounted; null: all of them"
    )
    carried = serializers.DictField(child=serializers.IntegerField())
    excess = ExcessSerializer(many=True)


def plans_body(currency: str) -> dict[str, Any]:
    return {
        "currency": currency,
        "version": plans.VERSION,
        "plans": [_plan(plan, currency) for plan in plans.ALL],
        "extras": [
            {
                "item": extra.item,
                "label": extra.label,
                "price_minor": extra.prices[currency],
                "per": extra.per,
                "per_label": extra.per_label,
            }
            for extra in plans.EXTRAS
        ],
        "add_ons": [
            {
                "key": add_on.key,
                "name": add_on.name,
                "price_minor": add_on.prices[currency],
                "plans": add_on.plans,
            }
            for add_on in plans.BOOK.add_ons
        ],
    }


def _plan(plan: Plan, currency: str) -> dict[str, Any]:
    return {
        "key": plan.key,
        "name": plan.name,
        "summary": plan.summary,
        "machine_minor": plan.machine_prices[currency],
        "yearly_machine_minor": plan.yearly_prices.get(currency),
        "trial_days": plan.trial_days,
        "included_readings_per_machine": plan.included_readings,
        "included": {str(item): n for item, n in plan.included.items()},
        "max_machines": plan.max_machines,
        "max_people": plan.max_people,
        "history_days": plan.history_days,
    }


def subscription_body(factory: Factory) -> dict[str, Any]:
    """Return how a factory's subscription stands; on the free plan there is none."""
    account, live = services.account_for(factory), selectors.subscription_of(factory)
    return {
        "plan": live.plan if live else plans.START.key,
        "version": live.version if live else plans.VERSION,
        "status": live.status if live else "",
        "currency": account.currency,
        "trial_end": live.trial_end if live else None,
        "next_plan": (live.next_plan or None) if live else None,
        "ends_at": live.ends_at if live else None,
        "closes_factory": live.closes_factory if live else False,
        "has_card": live.has_card if live else False,
        "percent_off": live.percent_off if live else None,
        "discount_ends_at": live.discount_ends_at if live else None,
        "standing": account.standing,
        "cause": account.cause,
        "standing_until": factory.limits.standing_until,
    }


def preview_body(found: ChangePreview, factory: Factory) -> dict[str, Any]:
    return {
        "plan": found.plan.key,
        "current": found.current.key,
        "starts_at": found.starts_at,
        "is_at_once": found.is_at_once,
        "in_trial": found.in_trial,
        "n_machines": found.n_machines,
        "amount_minor": found.amount_minor,
        "currency": services.account_for(factory).currency,
        "month_before_minor": found.month_before_minor,
        "month_after_minor": found.month_after_minor,
        "month_off_minor": found.month_off_minor,
        "percent_off": found.offer.percent_off if found.offer else None,
        "discount_ends_at": found.offer.ends_at if found.offer else None,
        "carried": {item: n for item, n in found.carried.items() if n},
        "excess": found.excess,
    }
