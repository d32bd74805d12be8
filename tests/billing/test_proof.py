"""The nightly proof: what differs is found, repaired by the next look, and written down."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from django.core.management import call_command

from billing import proofs, services
from billing.gateways import StripeGateway
from billing.models import (
    Adjustment,
    BillingAccount,
    Invoice,
    LedgerCursor,
    LedgerDelivery,
    LedgerEntry,
    ProofLine,
    ProofRun,
)
from billing.plans import Meter
from billing.selectors import proofs as selectors
from tenants import jobs
from tenants.context import current_schema
from tenants.models import Job
from tests.billing.conftest import HOUR, NOV_1
from tests.billing.test_chain import OCT_10, M, away, started, stripe_total  # noqa: F401

NIGHT = OCT_10 + timedelta(hours=26)
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def quick(settings):
    settings.STRIPE_READS_PER_S = 1000


@pytest.fixture
def used(acme, started, readings):  # noqa: F811
    """acme with readings in some hours, counted and told by the next night."""
    services.use_card(factory=acme, payment_method="pm_card_visa")
    for i in range(4):
        readings.add("machine:a", OCT_10 + i * HOUR, 100 + i)
    readings.add("machine:b", OCT_10 + 2 * HOUR, 7)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)
    services.run_clock(factory=acme, until=NIGHT)
    return BillingAccount.objects.get(factory=acme)


def prove(at: datetime = NIGHT) -> ProofRun:
    return services.prove(at=at)


def lines(run: ProofRun, account: BillingAccount) -> list[ProofLine]:
    return list(run.lines.filter(account=account).order_by("month"))


def differences(run: ProofRun) -> list[tuple[str, str]]:
    found = run.lines.order_by("month").values_list("differences", flat=True)
    return [(d["meter"], d["repair"]) for ds in found for d in ds]


def total(stripe: StripeGateway, account: BillingAccount, name: str) -> int:
    return stripe_total(stripe, account, name, OCT_10, NIGHT)


def test_where_nothing_differs_a_line_says_so_for_each_month(used):
    run = prove()

    # 2 months: 3 meters of the ledger and 5 of Stripe in October; September knew no Stripe.
    assert [(line.month.month, line.n_sums, line.n_differences) for line in lines(run, used)] == [
        (9, 0, 0),
        (10, 8, 0),
    ]
    assert (run.n_differences, run.n_failed) == (0, 0)
    assert run.finished_at is not None
    assert selectors.latest_proof() == run


def test_every_account_has_its_lines(used, globex):
    services.account_for(globex)

    run = prove()

    assert run.n_accounts == BillingAccount.objects.count() >= 2
    assert run.lines.count() == 2 * run.n_accounts


@pytest.fixture
def settled(acme, used):
    """The time two days after October has ended."""
    at = NOV_1 + timedelta(days=2)
    services.run_clock(factory=acme, until=at)
    return at


def test_facts_of_a_past_month_that_the_counting_overlooked_are_counted_anew(
    used, readings, settled
):
    readings.stored["acme"][OCT_10 + 5 * HOUR, "machine:a"] = 50  # no change was ever announced

    first, second = prove(settled), prove(settled)

    assert differences(first) == [("readings", "counted anew")]
    (found,) = lines(first, used)[0].differences
    assert (found["facts"], found["ledger"]) == (463, 413)
    added = LedgerEntry.objects.get(hour=OCT_10 + 5 * HOUR)
    assert (added.quantity, added.reason, added.delivery.state) == (50, "late_data", "late")
    assert (first.n_differences, first.n_repaired, second.n_differences) == (1, 1, 0)


def test_usage_in_the_wrong_hour_is_found_though_its_sum_is_right(used, readings, settled):
    stored = readings.stored["acme"]
    stored[OCT_10 + 6 * HOUR, "machine:a"] = stored.pop((OCT_10 + 3 * HOUR, "machine:a"))

    first, second = prove(settled), prove(settled)

    assert differences(first) == [("readings", "counted anew")]
    assert LedgerEntry.objects.filter(meter="readings", hour=OCT_10 + 3 * HOUR).count() == 2
    assert second.n_differences == 0


def test_late_data_that_waits_for_its_hourly_count_is_no_difference(used, readings):
    readings.add("machine:a", OCT_10 + 7 * HOUR, 9, at=NIGHT)

    assert prove().n_differences == 0
    assert LedgerEntry.objects.filter(hour=OCT_10 + 7 * HOUR).exists()


@pytest.fixture
def lose(used, stripe):
    """Let Stripe forget rows of readings."""

    def forget(n: int) -> None:
        rows = LedgerDelivery.objects.filter(account=used, entry__meter="readings")
        for row in rows.select_related("entry").order_by("entry_id")[:n]:
            stripe.cancel_usage(identifier=row.entry.identifier, event_name="takt_extra_readings")

    return forget


def test_usage_that_stripe_lost_is_sent_again_under_another_name(used, lose, stripe):
    before = total(stripe, used, "takt_extra_readings")
    lose(2)
    assert total(stripe, used, "takt_extra_readings") != before

    first, second = prove(), prove()

    assert differences(first) == [("takt_extra_readings", "lost at Stripe: sent again")]
    assert total(stripe, used, "takt_extra_readings") == before
    assert LedgerDelivery.objects.filter(n_resent=1, state="sent").count() == 2
    assert (first.n_repaired, second.n_differences) == (1, 0)


def test_usage_that_stripe_lost_of_a_settled_month_is_charged_on_its_own_line(acme, used, lose):
    lose(1)
    at = NOV_1 + timedelta(days=2)
    services.run_clock(factory=acme, until=at)

    first, second = prove(at), prove(at)

    words = "lost at Stripe: charged on a line of its own"
    assert differences(first) == [("takt_extra_readings", words)]
    # 100 of 413 readings, all within the allowance: it costs nothing.
    assert LedgerDelivery.objects.get(state="late").counted_at is not None
    assert not Adjustment.objects.exists()
    assert second.n_differences == 0


def test_usage_that_stripe_lost_of_a_settled_month_costs_what_it_would_have(
    acme,
    started,  # noqa: F811
    readings,
    stripe,
):
    readings.add("machine:a", OCT_10, 25 * M)
    services.run_clock(factory=acme, until=OCT_10 + 5 * HOUR)
    row = LedgerDelivery.objects.get(entry__meter="readings")
    stripe.cancel_usage(identifier=row.entry.identifier, event_name="takt_extra_readings")
    at = NOV_1 + timedelta(days=2)
    services.run_clock(factory=acme, until=at)

    first, second = prove(at), prove(at)

    assert first.n_differences == first.n_repaired == 1
    assert Adjustment.objects.get().amount_minor == 125  # 5 M beyond 20 M at 0.25
    assert second.n_differences == 0


def test_usage_at_stripe_that_nobody_here_told_is_balanced(used, stripe):
    stripe.report_usage(
        identifier=f"by-hand-{used.pk}", event_name="takt_active_machines",
        customer_id=used.stripe_customer_id or "", quantity=3, at=OCT_10 + 9 * HOUR,
    )  # fmt: skip

    first, second = prove(), prove()

    assert differences(first) == [("takt_active_machines", "unknown usage at Stripe: balanced")]
    (found,) = lines(first, used)[1].differences
    assert (found["ledger"], found["stripe"]) == (2, 5)
    assert total(stripe, used, "takt_active_machines") == 2
    assert second.n_differences == 0


def test_usage_counted_under_both_of_its_names_is_taken_back(used, stripe):
    row = LedgerDelivery.objects.get(account=used, entry__meter="readings", entry__hour=OCT_10)
    LedgerDelivery.objects.filter(pk=row.pk).update(n_resent=1)
    stripe.report_usage(
        identifier=f"{row.entry.identifier}:r1", event_name="takt_extra_readings",
        customer_id=used.stripe_customer_id or "", quantity=100, at=OCT_10,
    )  # fmt: skip

    first, second = prove(), prove()

    assert differences(first) == [("takt_extra_readings", "counted twice at Stripe: taken back")]
    assert total(stripe, used, "takt_extra_readings") == 413 - 40 * M
    assert second.n_differences == 0


def test_a_lost_row_and_an_unknown_one_in_the_same_hour_end_in_our_sum(used, lose, stripe):
    lose(1)
    stripe.report_usage(
        identifier=f"by-hand-{used.pk}", event_name="takt_extra_readings",
        customer_id=used.stripe_customer_id or "", quantity=1, at=OCT_10,
    )  # fmt: skip

    prove()

    assert total(stripe, used, "takt_extra_readings") == 413 - 40 * M
    assert prove().n_differences == 0


def test_what_was_sent_a_moment_ago_may_still_be_added_up(used, lose):
    lose(1)
    LedgerDelivery.objects.filter(account=used).update(sent_at=NIGHT - timedelta(minutes=5))

    run = prove()

    assert differences(run) == [("takt_extra_readings", "waits for Stripe")]
    assert (run.n_differences, LedgerDelivery.objects.filter(n_resent=1).count()) == (0, 0)


def test_what_stripe_refused_is_tried_again_and_named_if_it_is_refused_again(
    acme, used, stripe, wire
):
    rows = LedgerDelivery.objects.filter(account=used, entry__meter="readings")
    row = rows.select_related("entry").order_by("entry_id")[0]
    stripe.cancel_usage(identifier=row.entry.identifier, event_name="takt_extra_readings")
    LedgerDelivery.objects.filter(pk=row.pk).update(state="refused", counted_at=None)

    run = prove()

    assert differences(run) == [("readings", "refused by Stripe before: sent again")]
    assert total(stripe, used, "takt_extra_readings") == 413 - 40 * M
    assert (run.n_repaired, prove().n_differences) == (1, 0)


def test_an_amount_that_stripe_lost_is_sent_again(acme, used, stripe):
    lost = Adjustment.objects.create(
        account=used, kind="upgrade", period_start=OCT_10, period_end=NOV_1, amount_minor=500,
        currency="EUR", description="For a test", identifier=f"test:{used.pk.hex}",
        written_at=OCT_10, sent_at=OCT_10, stripe_item_id="ii_lost",
    )  # fmt: skip

    first, second = prove(), prove()

    assert differences(first) == [("adjustment", "lost at Stripe: sent again")]
    assert [i.metadata["adjustment"] for i in stripe.pending_items(used.stripe_customer_id)] == [
        lost.identifier
    ]
    assert second.n_differences == 0


def test_a_fixed_invoice_that_says_other_than_its_month_is_for_staff(acme, used, stripe):
    at = NOV_1 + timedelta(days=2)
    services.run_clock(factory=acme, until=at)
    assert prove(at).n_differences == 0
    stripe.report_usage(
        identifier=f"by-hand-{used.pk}", event_name="takt_active_machines",
        customer_id=used.stripe_customer_id or "", quantity=1, at=NOV_1 + HOUR,
    )  # fmt: skip
    services.run_clock(factory=acme, until=datetime(2026, 12, 1, 5, tzinfo=UTC))

    run = prove(datetime(2026, 12, 1, 5, tzinfo=UTC))

    found = dict(differences(run))
    assert found["takt_active_machines"].endswith("its invoice is fixed, for staff")
    assert found["invoice"] == "the invoice is fixed: for staff"
    assert run.n_repaired == 0


def test_a_month_with_a_larger_plan_in_its_midst_adds_up(acme, used, readings):
    services.change_plan(factory=acme, plan="plant", by=None, at=NIGHT)
    readings.add("machine:a", NIGHT + 3 * HOUR, 90 * M)
    readings.add("machine:c", NIGHT + 4 * HOUR, 1)
    at = NOV_1 + timedelta(days=2)
    services.run_clock(factory=acme, until=NIGHT + 6 * HOUR)
    services.run_clock(factory=acme, until=at)

    run = prove(at)

    assert (
        Invoice.objects.get(status="paid").lines.filter(description__contains="Workshop").count()
        > 1
    )
    assert (differences(run), run.n_failed) == ([], 0)


def test_while_stripe_is_away_facts_and_ledger_are_proven_and_the_rest_is_said(
    used, readings, wire, settled
):
    readings.stored["acme"][OCT_10 + 5 * HOUR, "machine:a"] = 50
    wire.before = away

    run = prove(settled)

    (line, _present) = lines(run, used)
    assert line.error.startswith("Stripe is away")
    assert ("readings", "counted anew") in differences(run)
    assert run.n_failed == 2  # both months, each without Stripe's side


def test_one_account_that_fails_stops_no_other(used, globex, monkeypatch, readings):
    other = services.account_for(globex)
    LedgerCursor.objects.filter(account=other).update(counted_to=NIGHT)
    usage = readings.usage

    def broken(**hours: datetime):
        if current_schema() == "globex":
            raise RuntimeError("its tables are gone")
        return usage(**hours)

    monkeypatch.setattr("billing.facts.usage", broken)

    run = prove()

    assert {line.error for line in lines(run, other)} == {"RuntimeError: its tables are gone"}
    assert [line.error for line in lines(run, used)] == ["", ""]


def test_stripe_answering_only_now_and_then_is_asked_again(used, wire):
    calls = []

    def flaky(_method: str, path: str) -> None:
        calls.append(path)
        if len(calls) % 3 == 0:
            raise requests.ConnectionError("away for a moment")

    wire.before = flaky

    assert prove().n_failed == 0


def test_the_nightly_job_shows_its_progress_and_its_result(used):
    job = jobs.enqueue(task="billing.prove")
    jobs.run(str(job.pk))

    job = Job.objects.get(pk=job.pk)
    assert job.result is not None
    assert (job.state, job.result["n_failed"]) == ("done", 0)
    assert "account months" in job.message


def test_the_proof_is_due_once_a_night(db):
    night = datetime(2026, 10, 11, 2, 40, tzinfo=UTC)
    assert not selectors.is_proof_due(night - HOUR)
    assert selectors.is_proof_due(night)
    ProofRun.objects.create(started_at=night)
    assert not selectors.is_proof_due(night + HOUR)
    assert selectors.is_proof_due(night + timedelta(days=1))


def test_the_command_lists_what_differs_and_fails_where_staff_is_needed(
    used, stripe, capsys, monkeypatch
):
    call_command("prove_billing")
    assert " 0 differences" in capsys.readouterr().out


# -- arithmetic ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("quantities", "amount", "expected"),
    [
        ([5, 7], 5, ["0"]),
        ([5, 7, -7], 5, ["0"]),  # the fewest
        ([5, 7, 9], 14, ["0", "2"]),
        ([5, 7], 6, None),
        ([1] * 30, 3, None),  # too many to try
        ([1] * 30, 2, ["0", "1"]),
        ([], 5, None),
    ],
)
def test_rows_that_explain_an_amount(quantities, amount, expected):
    rows = [(str(i), n) for i, n in enumerate(quantities)]

    assert proofs.rows_adding_up(rows, amount) == expected


def test_marks_tell_ledgers_apart_that_have_one_sum():
    hours = [OCT_10 + i * HOUR for i in range(4)]
    weights = proofs.weights(hours)

    def marks(*numbers):
        return proofs.marks({Meter.READINGS: {hours[i]: 1 for i in numbers}}, weights)

    assert marks(0, 3) == marks(3, 0)
    assert marks(0, 3) != marks(1, 2)
