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


@public_task("production.watch_inspections")
def watch_inspections(**_kwargs: Any) -> None:
    """Make the inspections that the clock asks for and mark those that were missed, everywhere."""
    for_each_factory(_watch_inspections)


def _watch_inspections(_factory: Factory) -> None:
    at = timezone.now()
    n_due, n_missed = services.make_due_by_time(at=at), services.mark_missed(at=at)
    if n_due or n_missed:
        log.info("production.inspections.watched", n_due=n_due, n_missed=n_missed)
