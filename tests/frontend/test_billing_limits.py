"""The owner's limits as they are set on the page: a budget, and where meters stop."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from billing import facts, plans, services
from billing.counting import MachineHour
from billing.models import Budget, MeterCap
from billing.periods import month_start
from billing.plans import Item
from billing.selectors import CapView
from frontend import bill_limits

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)


@pytest.fixture
def workshop(acme):
    """acme on Workshop since the month began."""
    at = month_start(timezone.now())
    services.start_subscription(factory=acme, plan="workshop", by=None, at=at)
    return services.account_for(acme)


def text(answer):
    assert answer.status_code == 200, answer.content[:300]
    return answer.content.decode()


@pytest.mark.parametrize(
    ("typed", "minor"),
    [
        ("550", 55_000),
        ("1,200.50", 120_050),
        (" 1 200 ", 120_000),
        ("550,50", 55_050),
        ("550,5", 55_050),
        ("1.200,50", 120_050),
        ("1,200,500", 120_050_000),
    ],
)
def test_an_amount_is_read_as_people_type_it(typed, minor):
    assert bill_limits.read_amount(typed, currency="EUR") == minor


@pytest.mark.parametrize("typed", ["", "0", "-5", "ten", "NaN", "Infinity", "1.234", "9" * 30])
def test_what_is_no_amount_is_refused(typed):
    with pytest.raises(bill_limits.NotAnAmount):
        bill_limits.read_amount(typed, currency="EUR")


@pytest.mark.parametrize(("typed", "n"), [("", None), ("0", 0), ("10,000,000", 10_000_000)])
def test_a_cap_is_read_as_people_type_it(typed, n):
    assert bill_limits.read_units(typed) == n


@pytest.mark.parametrize("typed", ["-1", "1.5", "many", "²", "9" * 40])
def test_what_is_no_count_is_refused(typed):
    with pytest.raises(bill_limits.NotAnAmount):
        bill_limits.read_units(typed)


def test_a_budget_is_set_changed_and_done_without(portal, workshop):
    owner = portal()

    owner.post("/usage/budget/", {"amount": "550"})
    assert Budget.objects.get().amount_minor == 55_000
    page = text(owner.get("/usage/"))
    assert "Left under your budget" in page
    assert "Not this month" in page
    owner.post("/usage/budget/", {"off": "1"})

    assert not Budget.objects.exists()
    assert "Left under your budget" not in text(owner.get("/usage/"))


def test_a_budget_that_is_no_amount_changes_nothing(portal, workshop):
    page = text(portal().post("/usage/budget/", {"amount": "-1"}, follow=True))

    assert "A budget is above zero." in page
    assert not Budget.objects.exists()


def test_a_cap_spells_out_both_choices_and_is_set(portal, workshop):
    page = text(portal().get("/usage/"))
    assert "kept for 7 days and can be bought back" in page
    assert "refused with the code cap_reached" in page

    portal().post(
        "/usage/caps/", {"item": "readings", "max_extra": "10,000,000", "action": "refuse"}
    )

    cap = MeterCap.objects.get(account=workshop, item=Item.READINGS)
    assert (cap.max_extra, cap.action) == (10_000_000, "refuse")
    assert "Stops at 10 M beyond the included" in text(portal().get("/usage/"))


def test_a_cap_below_what_is_charged_names_the_least(portal, workshop, monkeypatch):
    hour = workshop.subscriptions.get().metered_from
    included = plans.WORKSHOP.included_readings or 0
    stored = [MachineHour(hour, "machine:a", included + 800)]
    monkeypatch.setattr(facts, "usage", lambda **_span: stored)

    page = text(
        portal().post(
            "/usage/caps/",
            {"item": "readings", "max_extra": "5", "action": "keep"},
            follow=True,
        )
    )

    assert "Choose 800 or more" in page
    assert not MeterCap.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"item": "gold", "max_extra": "1", "action": "keep"},
        {"item": "archive_mb", "max_extra": "1", "action": "refuse"},
        {"item": "images", "max_extra": "1", "action": "keep"},
        {"item": "readings", "max_extra": "1", "action": ""},
    ],
)
def test_a_cap_that_is_not_offered_is_not_found(portal, workshop, body):
    assert portal().post("/usage/caps/", body).status_code == 404
    assert not MeterCap.objects.exists()


def test_what_is_held_back_is_offered_with_its_price_and_its_day():
    view = CapView(
        item=Item.READINGS, label="Readings", max_extra=0, extra_so_far=0, action="keep",
        reached_at=NOW, held=12_000_000, keep_until=NOW, buy_back_minor=300, words="",
        actions=("keep", "refuse"),
    )  # fmt: skip

    found = bill_limits.buy_back_of((view,), currency="EUR", now=NOW)

    assert found == bill_limits.BuyBack("12 M", "€3.00", "12:00")


def test_start_has_nothing_to_stop(portal):
    assert 'id="caps"' not in text(portal().get("/usage/"))


@pytest.mark.parametrize("path", ["budget", "caps", "caps/buy-back"])
def test_who_may_not_pay_sets_nothing(portal, workshop, path):
    answer = portal("engineer").post(f"/usage/{path}/", {"amount": "5", "item": "readings"})

    assert answer.status_code == 403
    assert not Budget.objects.exists()
