"""A meter stops where its owner said: held and bought back, or refused, never lost in silence."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import bills, facts, selectors, services
from billing.caps import KEEP, KEEP_DAYS, REFUSE
from billing.counting import SourceHour
from billing.models import (
    BillingAccount,
    GivenUpHour,
    LedgerDelivery,
    LedgerEntry,
    MeterCap,
)
from billing.plans import Item, Meter
from telemetry import services as telemetry_services
from tenants import jobs
from tenants.context import current_schema
from tenants.models import AuditEntry, FactoryLimits, Job, Notification
from tests.billing.conftest import HOUR, Facts

M = 1_000_000
DAY = timedelta(days=1)
OCT_1, NOV_1 = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
OCT_10 = OCT_1 + 9 * DAY


@pytest.fixture
def account(acme, readings) -> BillingAccount:
    """acme on Workshop since 1 October: 20 M readings a machine, 5,000 images included."""
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_1)
    return services.account_for(acme)


@pytest.fixture
def images(monkeypatch):
    """What mlops would say was inspected: rows per factory."""
    rows: dict[str, list[SourceHour]] = {"acme": [], "globex": []}
    monkeypatch.setattr(
        facts,
        "images",
        lambda *, start, end: [r for r in rows[current_schema()] if start <= r.hour < end],
    )
    return rows["acme"]


@pytest.fixture
def forgotten(monkeypatch):
    """The hours whose readings telemetry was asked to forget; each call finds `left` of them."""
    asked: list[list[datetime]] = []

    def forget(*, hours, reason):
        asked.append([h.astimezone(UTC) for h in hours])
        return 5 if len(asked) == 1 else 0

    monkeypatch.setattr(telemetry_services, "forget_hours", forget)
    return asked


def cap(factory, most, *, at, item=Item.READINGS, action=KEEP):
    services.set_cap(factory=factory, item=item, max_extra=most, action=action, by=None, at=at)


def count(factory, at) -> None:
    """Do what the job does every 15 minutes."""
    account = str(services.account_for(factory).pk)
    services.roll_up(factory=factory, until=at, at=at)
    services.watch_caps(account_id=account, at=at)
    services.give_up_held(account_id=account, at=at)


def month(account, start=OCT_1) -> tuple[int, int, int]:
    """Return the readings used, charged and held of a month, by the whole ledger."""
    sums = bills.whole_usage(account, start, start + 31 * DAY)
    return (
        sums.used(Item.READINGS),
        sums.beyond(Item.READINGS),
        sums.counted.get(Meter.HELD_READINGS, 0),
    )


def view(factory, at, item=Item.READINGS):
    return next(v for v in selectors.cap_views(factory, at) if v.item is item)


def limits(factory) -> FactoryLimits:
    return FactoryLimits.objects.get(factory=factory)


# By hand: 30 M used, 20 M included, 4 M allowed: 6 M held; at 25 cents a million 1.50.
def test_what_is_beyond_the_cap_is_held_and_not_charged(acme, account, readings):
    cap(acme, 4 * M, at=OCT_10)
    readings.add("machine:a", OCT_10, 30 * M)

    count(acme, OCT_10 + HOUR)

    assert month(account) == (30 * M, 4 * M, 6 * M)
    shown = view(acme, OCT_10 + HOUR)
    assert (shown.extra_so_far, shown.held, shown.buy_back_minor) == (4 * M, 6 * M, 150)
    assert shown.reached_at == OCT_10 + HOUR
    assert shown.keep_until == OCT_10 + HOUR + KEEP_DAYS * DAY
    assert limits(acme).capped_meters == []  # kept, so nothing is refused


def test_buying_back_charges_exactly_what_is_held_and_leaves_the_cap_of_the_next_month(
    acme, account, readings
):
    cap(acme, 4 * M, at=OCT_10)
    readings.add("machine:a", OCT_10, 30 * M)
    count(acme, OCT_10 + HOUR)
    before = bills.month_bill(account, OCT_1).total

    cost = services.buy_back(factory=acme, by=None, at=OCT_10 + 2 * HOUR)

    assert cost == 150 == bills.month_bill(account, OCT_1).total - before
    assert month(account) == (30 * M, 10 * M, 0)
    assert view(acme, OCT_10 + 2 * HOUR).max_extra == 10 * M
    assert view(acme, NOV_1 + HOUR).max_extra == 4 * M
    changed = LedgerEntry.objects.get(meter=Meter.HELD_READINGS, revision=1)
    assert (changed.quantity, changed.reason) == (-6 * M, "cap_changed")
    assert AuditEntry.objects.filter(factory=acme, action="billing.bought_back").count() == 1


def test_after_buying_back_the_next_readings_are_held_again(acme, account, readings):
    cap(acme, 4 * M, at=OCT_10)
    readings.add("machine:a", OCT_10, 30 * M)
    count(acme, OCT_10 + HOUR)
    services.buy_back(factory=acme, by=None, at=OCT_10 + HOUR)
    readings.add("machine:a", OCT_10 + HOUR, M)

    count(acme, OCT_10 + 2 * HOUR)

    assert month(account) == (31 * M, 10 * M, M)


def test_buying_back_without_anything_held_costs_nothing(acme, account):
    assert services.buy_back(factory=acme, by=None, at=OCT_10) == 0
    assert not MeterCap.objects.exists()


def test_what_the_last_month_held_is_bought_back_on_a_line_that_names_it(acme, account, readings):
    cap(acme, 0, at=OCT_10)
    readings.add("machine:a", OCT_10, 18 * M)
    readings.add("machine:a", NOV_1 - 2 * HOUR, 6 * M)
    count(acme, NOV_1)
    count(acme, NOV_1 + 2 * DAY)
    LedgerDelivery.objects.update(state="sent")

    cost = services.buy_back(factory=acme, by=None, at=NOV_1 + 2 * DAY)
    services.settle_late_usage(account_id=str(account.pk), at=NOV_1 + 2 * DAY)

    # The invoice of October is fixed: 4 M at 25 cents.
    (line,) = account.adjustments.all()
    assert (cost, line.amount_minor) == (100, 100)
    assert line.description == "Late usage of October 2026: 4,000,000 readings bought back"
    assert month(account) == (24 * M, 4 * M, 0)
    assert view(acme, NOV_1 + 2 * DAY).max_extra == 0


def test_a_raised_cap_turns_held_into_charged(acme, account, readings):
    cap(acme, 4 * M, at=OCT_10)
    readings.add("machine:a", OCT_10, 30 * M)
    count(acme, OCT_10 + HOUR)

    cap(acme, 7 * M, at=OCT_10 + HOUR)
    assert month(account) == (30 * M, 7 * M, 3 * M)
    cap(acme, None, at=OCT_10 + HOUR)
    assert month(account) == (30 * M, 10 * M, 0)


def test_a_cap_below_what_is_charged_is_refused_with_the_least_possible(acme, account, readings):
    readings.add("machine:a", OCT_10, 30 * M)
    readings.add("machine:a", OCT_10 + HOUR, 7)  # the open hour counts
    services.roll_up(factory=acme, until=OCT_10 + HOUR, at=OCT_10 + HOUR)
    at = OCT_10 + HOUR + timedelta(minutes=5)

    with pytest.raises(services.CapBelowUse) as refusal:
        cap(acme, 10 * M, at=at)

    assert refusal.value.least == 10 * M + 7
    assert not MeterCap.objects.exists()
    cap(acme, refusal.value.least, at=at)


def test_a_cap_of_nothing_leaves_the_included(acme, account, readings):
    cap(acme, 0, at=OCT_10, action=REFUSE)
    assert limits(acme).capped_meters == []  # a machine that sends brings its allowance along
    readings.add("machine:a", OCT_10, 19 * M)
    count(acme, OCT_10 + HOUR)
    assert limits(acme).capped_meters == []

    readings.add("machine:a", OCT_10 + HOUR, M)
    count(acme, OCT_10 + HOUR + timedelta(minutes=15))

    assert limits(acme).capped_meters == ["readings"]


@pytest.mark.parametrize("way", ["raised", "lifted", "month", "plan"])
def test_refused_readings_are_taken_again(acme, account, readings, way):
    cap(acme, M, at=OCT_10, action=REFUSE)
    readings.add("machine:a", OCT_10, 22 * M)
    count(acme, OCT_10 + HOUR)
    assert limits(acme).capped_meters == ["readings"]
    # What came in between is kept and not charged.
    assert month(account) == (22 * M, M, M)

    at = OCT_10 + 2 * HOUR
    if way == "raised":
        cap(acme, 3 * M, at=at, action=REFUSE)
    elif way == "lifted":
        cap(acme, None, at=at, action=REFUSE)
    elif way == "plan":
        services.change_plan(factory=acme, plan="plant", by=None, at=at)
    else:
        count(acme, NOV_1 + timedelta(minutes=1))

    assert limits(acme).capped_meters == []


def test_the_door_opens_with_the_month_by_a_job_of_its_own(acme, account, readings):
    cap(acme, 0, at=OCT_10, action=REFUSE)
    readings.add("machine:a", OCT_10, 22 * M)
    count(acme, OCT_10 + HOUR)

    job = Job.objects.get(task="billing.watch_caps", factory=acme)
    wait = NOV_1 + timedelta(seconds=1) - (OCT_10 + HOUR)
    assert abs(job.not_before - job.created_at - wait) < timedelta(seconds=5)
    Job.objects.filter(pk=job.pk).update(not_before=job.created_at)
    jobs.run(str(job.pk))  # the clock of the test machine: a month without readings

    assert limits(acme).capped_meters == []


# By hand: 5,000 included and 100 more.
def test_images_have_room_at_the_door_for_the_included_and_the_cap(acme, account, images):
    cap(acme, 100, at=OCT_10, item=Item.IMAGES, action=REFUSE)
    assert limits(acme).images_per_month == 5_100
    images.append(SourceHour(OCT_10, "", 5_099))
    count(acme, OCT_10 + HOUR)
    assert limits(acme).capped_meters == []

    images.append(SourceHour(OCT_10 + HOUR, "", 1))
    count(acme, OCT_10 + HOUR + timedelta(minutes=15))

    assert limits(acme).capped_meters == ["images"]
    assert view(acme, OCT_10 + 2 * HOUR, Item.IMAGES).extra_so_far == 100
    cap(acme, None, at=OCT_10 + 2 * HOUR, item=Item.IMAGES, action=REFUSE)
    assert (limits(acme).images_per_month, limits(acme).capped_meters) == (None, [])


# By hand: of 5,000 and 100 extra 5,040 are used; Plant has 15,000 more, and 60 are left of the cap.
def test_a_larger_plan_leaves_of_the_cap_what_was_not_charged(acme, account, images):
    cap(acme, 100, at=OCT_10, item=Item.IMAGES, action=REFUSE)
    images.append(SourceHour(OCT_10, "", 5_040))
    count(acme, OCT_10 + HOUR)

    services.change_plan(factory=acme, plan="plant", by=None, at=OCT_10 + 2 * HOUR)

    assert limits(acme).images_per_month == 5_040 + 15_000 + 60
    assert limits(acme).plan == "plant"
    count(acme, NOV_1 + HOUR)
    assert limits(acme).images_per_month == 20_000 + 100


def test_a_cap_waits_until_something_is_charged(acme, readings, images):
    services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_1, trial=True)
    cap(acme, 0, at=OCT_10, action=REFUSE)
    cap(acme, 0, at=OCT_10, item=Item.IMAGES, action=REFUSE)
    readings.add("machine:a", OCT_10, 99 * M)
    images.append(SourceHour(OCT_10, "", 9_999))

    count(acme, OCT_10 + HOUR)

    assert (limits(acme).capped_meters, limits(acme).images_per_month) == ([], None)


def test_each_reaching_is_told_once(acme, account, readings):
    cap(acme, M, at=OCT_10)
    readings.add("machine:a", OCT_10, 22 * M)
    for minutes in (60, 75, 90, 24 * 60):
        count(acme, OCT_10 + timedelta(minutes=minutes))

    (told,) = Notification.objects.filter(factory=acme, topic="billing")
    assert told.subject == "Acme Precision: Readings reached your cap"
    assert "7 days" in told.text
    cap(acme, 3 * M, at=OCT_10 + 2 * DAY)
    readings.add("machine:a", OCT_10 + 2 * DAY, 5 * M)
    count(acme, OCT_10 + 2 * DAY + HOUR)
    assert Notification.objects.filter(factory=acme, topic="billing").count() == 2


def test_a_cap_of_months_ago_is_reached_and_told_in_each_month(acme, account, readings):
    cap(acme, 0, at=OCT_10)
    for start in (OCT_10, NOV_1):
        readings.add("machine:a", start, 21 * M)
        count(acme, start + HOUR)

    assert Notification.objects.filter(factory=acme, topic="billing").count() == 2
    assert month(account, NOV_1) == (21 * M, 0, M)


def test_held_readings_are_given_up_after_seven_days_and_never_charged(
    acme, account, readings, forgotten
):
    cap(acme, 0, at=OCT_10)
    for hour, n in enumerate((19 * M, 2 * M, M, M)):
        readings.add("machine:a", OCT_10 + hour * HOUR, n)
    count(acme, OCT_10 + 4 * HOUR)
    count(acme, OCT_10 + 4 * HOUR + KEEP_DAYS * DAY - timedelta(minutes=1))
    assert forgotten == []

    at = OCT_10 + 4 * HOUR + KEEP_DAYS * DAY
    for minutes in (0, 15, 30):
        count(acme, at + timedelta(minutes=minutes))

    # The hour that is held in part stays; telemetry is asked until it finds nothing more.
    gone = [OCT_10 + 2 * HOUR, OCT_10 + 3 * HOUR]
    assert forgotten == [gone, gone]
    assert MeterCap.objects.get().forgotten_to == OCT_10 + 4 * HOUR
    shown = view(acme, at)
    assert (shown.held, shown.buy_back_minor) == (M, 25)
    assert services.buy_back(factory=acme, by=None, at=at + HOUR) == 25
    assert month(account) == (23 * M, M, 2 * M)
    cap(acme, None, at=at + 2 * HOUR)
    assert month(account) == (23 * M, M, 2 * M)


def test_what_comes_late_beyond_the_cap_is_kept_as_long(acme, account, readings, forgotten):
    cap(acme, 0, at=OCT_10)
    readings.add("machine:a", OCT_10, 20 * M)
    count(acme, OCT_10 + HOUR)
    late = OCT_10 + 10 * DAY
    readings.add("machine:a", OCT_10 + HOUR, M, at=late)

    count(acme, late)
    assert view(acme, late).keep_until == late + KEEP_DAYS * DAY
    count(acme, late + KEEP_DAYS * DAY)

    assert forgotten == [[OCT_10 + HOUR]]


@pytest.mark.parametrize(
    ("item", "action"),
    [(Item.ARCHIVE_MB, REFUSE), (Item.MACHINES, REFUSE), (Item.IMAGES, KEEP), (Item.READINGS, "")],
)
def test_what_cannot_be_capped_is_not(acme, account, item, action):
    with pytest.raises(services.CapNotOffered):
        cap(acme, 1, at=OCT_10, item=item, action=action)
    assert {v.item for v in selectors.cap_views(acme, OCT_10)} == {
        Item.READINGS, Item.IMAGES, Item.PLANNING_MINUTES,
    }  # fmt: skip


def test_the_forecast_ends_at_the_cap(acme, account, readings):
    for day in range(9):
        readings.add("machine:a", OCT_1 + day * DAY, 10 * M)
    services.roll_up(factory=acme, until=OCT_10, at=OCT_10)
    assert selectors.usage_summary(acme, OCT_10).forecast_minor > 2900 + 80 * 25

    cap(acme, 80 * M, at=OCT_10)

    assert selectors.usage_summary(acme, OCT_10).forecast_minor == 2900 + 80 * 25
    assert selectors.usage_summary(acme, OCT_10).forecast_high_minor == 2900 + 80 * 25


def test_a_cap_is_its_own_factory_s_alone(acme, globex, account, readings):
    services.start_subscription(factory=globex, plan="workshop", by=None, at=OCT_1)
    cap(acme, 0, at=OCT_10, action=REFUSE)
    for schema in ("acme", "globex"):
        readings.add("machine:a", OCT_10, 25 * M, schema=schema)

    for factory in (acme, globex):
        count(factory, OCT_10 + HOUR)

    assert limits(acme).capped_meters == ["readings"]
    assert limits(globex).capped_meters == []
    assert month(services.account_for(globex)) == (25 * M, 5 * M, 0)
    assert view(globex, OCT_10 + HOUR).max_extra is None
    assert services.buy_back(factory=globex, by=None, at=OCT_10 + HOUR) == 0
    assert month(account) == (25 * M, 0, 5 * M)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.sampled_from("ab"), st.integers(1, 15)),
        st.tuples(st.just("late"), st.sampled_from("ab"), st.integers(1, 15)),
        st.tuples(st.just("cap"), st.sampled_from([KEEP, REFUSE]), st.none() | st.integers(0, 20)),
        st.tuples(st.just("wait"), st.just(""), st.integers(1, 200)),
        st.tuples(st.just("buy"), st.just(""), st.just(0)),
        st.tuples(st.just("plan"), st.just(""), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps)
def test_whatever_is_used_capped_and_bought_back_adds_up(acme, monkeypatch, steps):
    """Charged, held and included make up what was used; what is charged stays under the cap."""
    known = Facts()
    monkeypatch.setattr(facts, "usage", known.usage)
    monkeypatch.setattr(facts, "changed_hours", known.changed_hours)
    monkeypatch.setattr(telemetry_services, "forget_hours", lambda **_kwargs: 0)
    with transaction.atomic():
        point = transaction.savepoint()
        services.start_subscription(factory=acme, plan="workshop", by=None, at=OCT_1)
        now = OCT_1 + HOUR
        for step in steps:
            now = _do(acme, known, step, now)
            count(acme, now)
            _check(acme, known, now)
        transaction.savepoint_rollback(point)


def _do(factory, known: Facts, step: tuple[str, str, int], now: datetime) -> datetime:
    kind, which, n = step
    if kind == "use":
        known.add(f"machine:{which}", now, n * M)
        return now + HOUR
    if kind == "late":
        known.add(f"machine:{which}", max(OCT_1, now - n * 9 * HOUR), n * M, at=now)
    elif kind == "wait":
        return min(now + n * HOUR, NOV_1 - HOUR)
    elif kind == "cap":
        _cap(factory, None if n is None else n * M, which, now)
    elif kind == "buy":
        _buy(factory, now)
    else:
        services.change_plan(factory=factory, plan="plant", by=None, at=now)
    return now


def _cap(factory, most: int | None, action: str, now: datetime) -> None:
    least = view(factory, now).extra_so_far
    if most is None or most >= least:
        cap(factory, most, at=now, action=action)
        return
    with pytest.raises(services.CapBelowUse) as refusal:
        cap(factory, most, at=now, action=action)
    assert refusal.value.least == least


def _buy(factory, now: datetime) -> None:
    shown, account = view(factory, now), services.account_for(factory)
    before = _charged(account)
    cost = services.buy_back(factory=factory, by=None, at=now)
    assert cost == shown.buy_back_minor
    assert _charged(account) - before == shown.held
    assert view(factory, now).held == 0


def _charged(account) -> int:
    parts = [p.span for p in bills.month_bill(account, OCT_1).spans]
    return sum(bills.whole_usage(account, s.start, s.end).beyond(Item.READINGS) for s in parts)


def _check(factory, known: Facts, now: datetime) -> None:
    account = services.account_for(factory)
    used = sum(n for (hour, _), n in known.stored["acme"].items() if hour < now)
    spans = [p.span for p in bills.month_bill(account, OCT_1).spans]
    sums = [bills.whole_usage(account, s.start, s.end) for s in spans]
    held = [s.counted.get(Meter.HELD_READINGS, 0) for s in sums]
    included = [
        min(s.counted.get(Meter.INCLUDED_READINGS, 0), s.used(Item.READINGS) - h)
        for s, h in zip(sums, held, strict=True)
    ]
    assert used == sum(included) + sum(held) + _charged(account)
    row = MeterCap.objects.filter(account=account, month=OCT_1).first()
    if row is not None and row.max_extra is not None:
        assert _charged(account) <= row.max_extra
    for gone in GivenUpHour.objects.filter(account=account):
        n_held = LedgerEntry.objects.filter(
            account=account, meter=Meter.HELD_READINGS, hour=gone.hour
        )
        n = known.stored["acme"]
        in_hour = sum(k for (hour, _), k in n.items() if hour == gone.hour)
        assert sum(n_held.values_list("quantity", flat=True)) == in_hour
