"""What a plan allows, written down to where the lower floors read it."""

from billing.models import BillingAccount
from billing.plans import Plan
from tenants.models import Factory, FactoryLimits

Standing = BillingAccount.Standing


def write_limits(*, factory: Factory, plan: Plan) -> None:
    """Let a factory use what a plan allows; ingest reads it without asking billing."""
    limits, _ = FactoryLimits.objects.get_or_create(factory=factory)
    limits.plan = plan.key
    limits.max_machines = plan.max_machines
    limits.max_people = plan.max_people
    limits.history_days = plan.history_days
    limits.archive_days = plan.archive_days
    limits.trainings_per_month = plan.trainings_per_month
    limits.images_per_month = plan.images_per_month
    limits.planning_minutes_per_month = plan.planning_minutes_per_month
    limits.save(
        update_fields=[
            "plan", "max_machines", "max_people", "history_days", "archive_days",
            "trainings_per_month", "images_per_month", "planning_minutes_per_month", "changed_at",
        ]
    )  # fmt: skip


def write_room(*, factory: Factory, images: int | None, planning_minutes: int | None) -> None:
    """Write how much of what is limited by the month there is room for; None is no limit."""
    limits, _ = FactoryLimits.objects.get_or_create(factory=factory)
    now = (limits.images_per_month, limits.planning_minutes_per_month)
    if now != (images, planning_minutes):
        limits.images_per_month, limits.planning_minutes_per_month = images, planning_minutes
        limits.save(update_fields=["images_per_month", "planning_minutes_per_month", "changed_at"])


def write_cap(*, factory: Factory, item: str, is_shut: bool) -> None:
    """Shut a door at the owner's cap, or open it again."""
    limits, _ = FactoryLimits.objects.get_or_create(factory=factory)
    shut = {*limits.capped_meters, item} if is_shut else set(limits.capped_meters) - {item}
    if shut != set(limits.capped_meters):
        limits.capped_meters = sorted(shut)
        limits.save(update_fields=["capped_meters", "changed_at"])
