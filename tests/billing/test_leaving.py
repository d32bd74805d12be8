"""Invoices and the ledger in the export of everything."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from billing import leaving, services
from billing.models import CreditNote, InvoiceLine, LedgerEntry
from billing.selectors import history
from tests.billing import staff_records

NOON = staff_records.NOON


def files():
    """Return the files by path: their pieces, and how many rows they say they hold."""
    found = {}
    for file in leaving.files():
        pieces = []
        while True:
            try:
                pieces.append(next(file.content))
            except StopIteration as end:
                found[file.path] = pieces, end.value
                break
    return found


def rows(path):
    pieces, n_rows = files()[path]
    header, *found = csv.reader(io.StringIO(b"".join(pieces).decode()))
    assert len(found) == n_rows
    return [dict(zip(header, row, strict=True)) for row in found]


@pytest.fixture
def billed(in_acme, globex):
    """An invoice of acme with a line and a credit note; one of globex."""
    account = services.account_for(in_acme)
    invoice = staff_records.invoice(account)
    InvoiceLine.objects.create(
        invoice=invoice, position=0, stripe_id="il_1", description="=2 machines", quantity=2,
        amount_minor=-5, period_start=NOON, period_end=NOON,
    )  # fmt: skip
    CreditNote.objects.create(
        account=account, invoice=invoice, stripe_id="cn_1", number="T-17-CN-01", amount_minor=100,
        refunded_minor=40, reason="duplicate", memo="@twice", status="issued", created_at=NOON,
    )  # fmt: skip
    staff_records.invoice(services.account_for(globex), "in_globex")
    return account


def test_an_invoice_comes_with_its_lines_and_credit_notes(billed):
    (invoice,), (line,) = rows("billing/invoices.csv"), rows("billing/invoice_lines.csv")
    (note,) = rows("billing/credit_notes.csv")

    assert (invoice["number"], invoice["total_minor"], invoice["credited_minor"]) == (
        "T-17", "123456", "100",
    )  # fmt: skip
    assert invoice["created_at"] == "2026-11-17T12:00:00Z"
    assert (line["invoice"], line["quantity"], line["amount_minor"]) == ("T-17", "2", "-5")
    assert line["description"] == "'=2 machines"  # what a spreadsheet would run
    assert (note["number"], note["invoice"], note["refunded_minor"]) == ("T-17-CN-01", "T-17", "40")
    assert note["memo"] == "'@twice"


def test_the_ledger_comes_hour_by_hour_with_every_revision(billed, globex):
    staff_records.entry(billed, quantity=7)
    LedgerEntry.objects.create(
        account=billed, meter="readings", hour=NOON, billed_hour=NOON + timedelta(days=20),
        quantity=-2, revision=1, reason="late_data", identifier="late", written_at=NOON,
    )  # fmt: skip
    staff_records.entry(billed, hour=NOON - timedelta(hours=1), quantity=4)
    staff_records.entry(services.account_for(globex), quantity=99)

    found = rows("billing/ledger.csv")

    assert [(r["hour"], r["quantity"], r["revision"], r["reason"]) for r in found] == [
        ("2026-11-17T11:00:00Z", "4", "0", "counted"),
        ("2026-11-17T12:00:00Z", "7", "0", "counted"),
        ("2026-11-17T12:00:00Z", "-2", "1", "late_data"),
    ]
    assert {r["meter"] for r in found} == {"readings"}
    assert found[2]["billed_hour"] == "2026-12-07T12:00:00Z"


def test_a_factory_that_was_never_billed_has_empty_files(in_acme):
    found = files()

    assert list(found) == [
        "billing/invoices.csv", "billing/invoice_lines.csv", "billing/credit_notes.csv",
        "billing/ledger.csv",
    ]  # fmt: skip
    assert [n_rows for _pieces, n_rows in found.values()] == [0, 0, 0, 0]


def test_a_long_ledger_goes_out_in_pieces(billed, monkeypatch):
    monkeypatch.setattr(history, "ROWS_A_PAGE", 500)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=n) for n in range(6_000)]
    LedgerEntry.objects.bulk_create(
        LedgerEntry(
            account=billed, meter="readings", hour=hour, billed_hour=hour, quantity=1,
            reason="counted", identifier=str(hour), written_at=hour,
        )
        for hour in hours
    )  # fmt: skip

    pieces, n_rows = files()["billing/ledger.csv"]

    assert n_rows == 6_000
    assert len(pieces) > 1
    assert max(map(len, pieces)) < 300_000
