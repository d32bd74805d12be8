"""The maintenance of a demonstration, as its people would have written it down."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from config.demo import founding, learning, upkeep
from config.demo.diary import FactoryEntry
from config.demo.machines import ACME
from config.demo.simulator import simulate
from production import selectors
from production.models import Failure, WorkOrder
from tenants.context import factory_context
from tenants.models import User


@pytest.fixture
def happened(acme):
    owner = User.objects.get(email="owner@acme.example")
    founded = founding.found_plant(
        ACME, FactoryEntry("Acme Precision", "acme", ""), acme, owner, days=28
    )
    now = timezone.now().timestamp()
    simulated = simulate(ACME, seed=7, anchor=founded.anchor, days=28, until=now + 86_400)
    with factory_context(acme):
        yield {founded.machines[m.name]: (m.spec.type, m.breakdowns(until=now)) for m in simulated}


def test_repairs_record_the_failures_that_the_log_does_not_repeat(happened):
    at = timezone.now()
    upkeep.found_upkeep(machines=happened, at=at)
    n_repaired = Failure.objects.count()
    learning.record_missing(happened)

    n_broken = sum(len(breakdowns) for _, breakdowns in happened.values())
    assert 0 < n_repaired < n_broken == Failure.objects.count()
    assert WorkOrder.objects.filter(verdict="real", failure__isnull=False).count() == n_repaired


def test_there_are_verdicts_plans_and_parts_and_they_are_made_once(happened):
    at = datetime.now(UTC) + timedelta(seconds=1)
    for _ in range(2):
        upkeep.found_upkeep(machines=happened, at=at)

    verdicts = [label.verdict for label in selectors.verdicts(sources=["prediction"])]
    assert sorted(verdicts) == ["cause_found_other", "false_alarm", "prevented"]
    assert WorkOrder.objects.filter(source="plan", state="approved").exists()
    stocks = selectors.stocks(list(selectors.spare_parts()))
    assert all(row.stock == upkeep.LEFT for row in stocks)
