"""What a plan allows, written down to where the lower floors read it."""

from billing.plans import Plan
from tenants.models import Factory, FactoryLimits


def write_limits(*, factory: Factory, plan: Plan) -> None:
    """Let a factory use what a plan allows; ingest reads it without asking billing."""
    limits, _ = FactoryLimits.objects.get_or_create(factory=factory)
    limits.plan = plan.key
    limits.max_machines = plan.max_machines
    limits.history_days = plan.history_days
    limits.archive_days = plan.archive_days
    limits.trainings_per_month = plan.trainings_per_month
    limits.save(
        update_fields=[
            "plan", "max_machines", "history_days", "archive_days", "trainings_per_month",
            "changed_at",
        ]
    )  # fmt: skip
