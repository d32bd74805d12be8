"""Celery entry points of production."""

from typing import Any

import structlog
from django.utils import timezone

from production import services
from tenants.jobs import public_task
from tenants.models import Factory
from tenants.services import for_each_factory

log = structlog.get_logger()


@public_task("production.make_due_orders")
def make_due_orders(**_kwargs: Any) -> None:
    """Make the work orders that maintenance plans are due for, in every factory."""
    for_each_factory(_make_due_orders)


def _make_due_orders(_factory: Factory) -> None:
    n_made = services.make_due_orders(at=timezone.now())
    if n_made:
        log.info("production.orders.planned", n_orders=n_made)
