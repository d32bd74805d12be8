"""A budget is watched whenever usage was counted, and each share of it is told once a month."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from billing import selectors, services
from billing.models import Budget, BudgetAlert
from tenants import jobs
from tenants.models import AuditEntry, Delivery, Notification
from tests.billing.conftest import HOUR

M = 1_000_000
DAY = timedelta(days=1)
OCT_1, NOV_1 = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
OCT_10 = OCT_1 + 9 * DAY


@pytest.fixture
def account(acme, readings):
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_1)
    return services.account_for(acme)


def budget(factory, amount, *, at=OCT_1):
    services.set_budget(factory=factory, amount_minor=amount, by=None, at=at)


def count(factory, at) -> int:
    services.roll_up(factory=factory, until=at, at=at)
    return services.watch_budget(account_id=str(services.account_for(factory).pk), at=at)


def told(factory) -> list[str]:
    found = Notification.objects.filter(factory=factory, topic="billing").order_by("at", "pk")
    return [n.subject.partition(": ")[2].partition(" of")[0] for n in found]


def machines(readings, n, at, *, schema="acme"):
    """Machines that send for the first time: 29.00 each."""
    for i in range(n):
        readings.add(f"machine:{at:%d%H}-{i}", at, 1, schema=schema)


# By hand: budget 100.00; a machine 29.00, two 58.00, three 87.00, four 116.00.
def test_each_share_is_told_once_when_it_is_reached(acme, account, readings):
    budget(acme, 10_000)
    for day, percents in enumerate(
        [[], ["50 %"], ["50 %", "80 %"], ["50 %", "80 %", "100 %"], ["50 %", "80 %", "100 %"]]
    ):
        machines(readings, 1, OCT_10 + day * DAY)
        for minutes in (60, 75, 90):
            count(acme, OCT_10 + day * DAY + timedelta(minutes=minutes))
        assert told(acme) == percents

    rows = BudgetAlert.objects.order_by("percent").values_list("percent", "amount_minor")
    assert list(rows) == [(50, 5800), (80, 8700), (100, 11_600)]


def test_what_is_told_names_the_bill_the_budget_and_what_is_expected(acme, account, readings):
    budget(acme, 10_000)
    machines(readings, 2, OCT_10)
    count(acme, OCT_10 + HOUR)

    (said,) = Notification.objects.filter(factory=acme, topic="billing")
    assert said.subject == "Acme Precision: 50 % of the budget for this month"
    assert "58.00 EUR" in said.text
    assert "100.00 EUR" in said.text
    assert said.path == "/usage/"


def test_owners_and_admins_are_told_by_mail_and_in_takt(acme, account, readings):
    budget(acme, 100)
    machines(readings, 1, OCT_10)
    count(acme, OCT_10 + HOUR)

    found = Delivery.objects.filter(notification__factory=acme)
    mails = found.filter(channel="mail").values_list("user__email", flat=True)
    assert sorted(mails) == ["admin@acme.example", "owner@acme.example"]
    shown = selectors.budget_view(acme, OCT_10 + HOUR).recipients
    assert shown == "owner@acme.example and admin one"  # who has no name comes first


def test_shares_that_are_passed_together_are_one_message(acme, account, readings):
    budget(acme, 10_000)
    machines(readings, 3, OCT_10)

    assert count(acme, OCT_10 + HOUR) == 2

    assert told(acme) == ["80 %"]
    assert BudgetAlert.objects.count() == 2


def test_a_new_month_is_told_anew(acme, account, readings):
    budget(acme, 5_000)
    for start in (OCT_10, NOV_1 + DAY):
        machines(readings, 1, start)
        count(acme, start + HOUR)

    assert told(acme) == ["50 %", "50 %"]


def test_the_last_hour_of_a_month_is_told_while_its_invoice_is_a_draft(acme, account, readings):
    budget(acme, 5_000)
    machines(readings, 1, NOV_1 - HOUR)

    assert count(acme, NOV_1 + timedelta(minutes=5)) == 1

    assert BudgetAlert.objects.get().month == OCT_1


# By hand: 58.00 is above half of 100.00 and of 110.00, and below half of 200.00.
@pytest.mark.parametrize(
    ("amount", "again"), [(11_000, ["50 %"]), (20_000, ["50 %", "50 %"]), (7_000, ["50 %", "80 %"])]
)
def test_a_changed_budget_repeats_only_what_it_made_unreached(
    acme, account, readings, amount, again
):
    budget(acme, 10_000)
    machines(readings, 2, OCT_10)
    count(acme, OCT_10 + HOUR)

    budget(acme, amount, at=OCT_10 + 2 * HOUR)
    if amount == 20_000:
        assert told(acme) == ["50 %"]
        machines(readings, 2, OCT_10 + DAY)
    count(acme, OCT_10 + DAY + HOUR)

    assert told(acme) == again


def test_without_a_budget_nothing_is_told(acme, account, readings):
    budget(acme, 10_000)
    budget(acme, None)
    machines(readings, 9, OCT_10)

    assert count(acme, OCT_10 + HOUR) == 0

    view = selectors.budget_view(acme, OCT_10 + HOUR)
    assert (view.amount_minor, view.alerts, view.left_minor) == (None, (), None)
    assert AuditEntry.objects.filter(factory=acme, action="billing.budget_set").count() == 2


@pytest.mark.parametrize("amount", [0, -1])
def test_a_budget_is_above_zero(acme, account, amount):
    with pytest.raises(ValueError, match="above zero"):
        budget(acme, amount)
    assert not Budget.objects.exists()


# By hand: 29.00 a machine; 10 M a day of one machine, 20 M included, 25 cents a million: on the
# 9th the bill is 29.00 + 17.50 = 46.50 and grows by 2.50 a day: 60.00 is passed on the 15th.
def test_the_forecast_says_when_a_share_is_likely_to_be_reached(acme, account, readings):
    for day in range(9):
        readings.add("machine:a", OCT_1 + day * DAY, 10 * M)
    budget(acme, 12_000)
    count(acme, OCT_10)

    view = selectors.budget_view(acme, OCT_10)

    assert [(a.percent, a.amount_minor, a.state, a.on) for a in view.alerts] == [
        (50, 6_000, "likely", date(2026, 10, 15)),
        (80, 9_600, "likely", date(2026, 10, 29)),
        (100, 12_000, "not_this_month", None),
    ]
    assert view.left_minor == 12_000 - 4_650


def test_a_share_that_is_reached_and_not_said_yet_is_not_called_likely(acme, account, readings):
    machines(readings, 1, OCT_10)
    count(acme, OCT_10 + HOUR)
    Budget.objects.create(account=account, amount_minor=5_000, changed_at=OCT_10 + HOUR)

    first = selectors.budget_view(acme, OCT_10 + HOUR).alerts[0]

    assert (first.amount_minor, first.state, first.on) == (2_500, "reached", None)


def test_an_alert_that_was_sent_says_when(acme, account, readings):
    budget(acme, 5_000)
    machines(readings, 1, OCT_10)
    count(acme, OCT_10 + HOUR)

    first = selectors.budget_view(acme, OCT_10 + 5 * DAY).alerts[0]

    assert (first.state, first.on) == ("sent", date(2026, 10, 10))


def test_a_budget_is_its_own_factory_s_alone(acme, globex, account, readings):
    services.start_subscription(factory=globex, plan="workshop", by=None, at=OCT_1)
    budget(acme, 100)
    for schema in ("acme", "globex"):
        machines(readings, 1, OCT_10, schema=schema)

    for factory in (acme, globex):
        count(factory, OCT_10 + HOUR)

    assert (len(told(acme)), told(globex)) == (1, [])
    assert selectors.budget_view(globex, OCT_10 + HOUR).amount_minor is None


def test_the_job_that_counts_watches_the_budget(acme, readings):
    now = timezone.now()
    services.start_subscription(factory=acme, plan="workshop", by=None, at=now - 3 * DAY)
    budget(acme, 100, at=now)
    hour = now.replace(minute=0, second=0, microsecond=0) - HOUR
    readings.add("machine:a", hour, 1, at=now)
    job = jobs.JobHandle("00000000-0000-0000-0000-000000000000")

    account = str(services.account_for(acme).pk)
    jobs.call("billing.count_usage", factory=acme, job=job, account_id=account)

    assert BudgetAlert.objects.filter(account=account).count() == 3
