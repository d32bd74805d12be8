"""Signals that a maintenance plan counts or watches reach it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from production import services as production_services
from production.models import MachineMeter, WorkOrder
from production.services import PlanFields
from telemetry import services
from tests.frontend.conftest import device, heard, mill  # noqa: F401  # a machine that reports


@pytest.fixture
def watch(mill):  # noqa: F811
    def make(key):
        fields = PlanFields(
            name="Change the filter", trigger="condition", machine_id=mill.pk, value_key=key,
            beyond="above", limit=2.5, value_unit="bar",
        )  # fmt: skip
        return production_services.save_plan(fields=fields, by=None)

    return make


def test_a_watched_value_beyond_its_limit_becomes_an_order(watch, heard):  # noqa: F811
    watch("dp")
    heard({"dp": 2.7, "other": 1.0})
    at = timezone.now()

    assert services.feed_plans(at=at) == 1
    assert MachineMeter.objects.get().value == 2.7
    assert production_services.make_due_orders(at=at) == 1
    assert "dp is 2.7 bar" in WorkOrder.objects.get().reason


def test_a_value_of_last_week_says_nothing(watch, heard):  # noqa: F811
    watch("dp")
    heard({"dp": 2.7}, at=timezone.now() - timedelta(days=7))

    assert services.feed_plans(at=timezone.now()) == 0


def test_without_a_plan_nothing_is_reported(heard):  # noqa: F811
    heard({"dp": 2.7})

    assert services.feed_plans(at=timezone.now()) == 0
    assert not MachineMeter.objects.exists()
