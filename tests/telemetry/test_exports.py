"""Exports: what the file holds, what is refused, and what becomes of one that goes wrong."""

import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pyarrow.parquet
import pytest
from django.utils import timezone

from telemetry import export_files, selectors, services
from telemetry.models import Export
from telemetry.services import exports as export_services
from tenants import jobs
from tenants.models import AuditEntry, Job
from tests.telemetry.stored import device, store

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def ask(*signals, form="csv", start=NOON - DAY, end=NOON + DAY):
    rows = selectors.signals(ids=[signal.pk for signal in signals])
    return services.request_export(
        signals=list(rows), start=start, end=end, form=form, at=timezone.now()
    )


def run(export, factory):
    jobs.call(
        "telemetry.write_export",
        factory=factory,
        job=jobs.JobHandle(str(export.job_id)),
        export_id=str(export.pk),
    )
    export.refresh_from_db()
    return export


def content(export) -> bytes:
    return b"".join(services.file_of(export=export))


@pytest.mark.slow
def test_a_csv_holds_every_value_in_order_and_runs_no_formula(bucket, in_acme):
    load = store(device("=Mill"), "load", [1.5, -2.0], at=NOON, every=SECOND)
    word = store(device("Gate"), "say", ["=1+1", "fine"], at=NOON, every=SECOND)

    export = run(ask(load, word), in_acme)

    assert (export.state, export.n_rows) == ("done", 4)
    rows = list(csv.reader(io.StringIO(content(export).decode())))
    assert rows[0] == export_files.SCHEMA.names
    by_device = {row[3]: row for row in rows[1:]}
    assert by_device["'=Mill"][:2] == ["2026-11-17T12:00:01.000Z", "1794916801000"]
    assert [row[7] for row in rows[1:] if row[5] == "load"] == ["1.5", "-2"]
    assert [row[8] for row in rows[1:] if row[5] == "say"] == ["'=1+1", "fine"]


@pytest.mark.slow
def test_a_parquet_file_holds_the_same_in_row_groups(bucket, in_acme, monkeypatch):
    monkeypatch.setattr(export_files, "PIECE_READINGS", 1_000)
    mill = device()
    load = store(mill, "load", [float(i) for i in range(9_000)], at=NOON, every=SECOND)

    export = run(ask(load, form="parquet"), in_acme)

    file = pyarrow.parquet.ParquetFile(io.BytesIO(content(export)))
    assert file.num_row_groups == 10  # 3,600 a full hour: four pieces, four pieces, two pieces
    table = file.read()
    assert table["value"].to_pylist() == [float(i) for i in range(9_000)]
    assert table["epoch_ms"][0].as_py() == int(NOON.timestamp() * 1000)
    assert table["time_utc"][0].as_py() == NOON


@pytest.mark.parametrize("n_hours", [1, 30])
def test_pieces_cover_the_range_once_and_stay_small(n_hours):
    hours = [(NOON + i * export_files.HOUR, 40_000 * (1 + i % 7)) for i in range(n_hours)]
    start, end = NOON + timedelta(minutes=7), NOON + timedelta(hours=n_hours, minutes=-9)

    pieces = list(export_files.pieces(hours, start=start, end=end))

    assert (pieces[0].start, pieces[-1].end) == (start, end)
    assert all(left.end == right.start for left, right in pairwise(pieces))
    assert all(piece.n_readings <= export_files.PIECE_READINGS for piece in pieces)


def test_more_than_an_export_may_hold_is_refused_with_the_figure(in_acme, monkeypatch):
    monkeypatch.setattr(export_services, "MAX_EXPORT_ROWS", 5)
    load = store(device(), "load", [1.0] * 6, at=NOON, every=SECOND)

    with pytest.raises(services.ExportRefused, match="up to 6 rows; an export takes 5"):
        ask(load)


@pytest.mark.slow
def test_a_file_that_grows_too_large_ends_with_words(bucket, in_acme, monkeypatch):
    monkeypatch.setattr(export_services, "MAX_EXPORT_BYTES", 1000)
    load = store(device(), "load", [1.0] * 600, at=NOON, every=SECOND)

    export = run(ask(load), in_acme)

    assert export.state == "failed"
    assert "the most one may have" in export.message


def test_only_so_many_are_written_at_a_time(in_acme):
    load = store(device(), "load", [1.0], at=NOON, every=SECOND)
    for _ in range(export_services.MAX_OPEN_EXPORTS):
        ask(load)

    with pytest.raises(services.ExportRefused, match="wait for one, or cancel it"):
        ask(load)
    services.cancel_export(export=selectors.exports()[0], at=timezone.now())
    ask(load)


def test_a_store_that_is_away_is_said_and_tried_again(in_acme, settings):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    load = store(device(), "load", [1.0], at=NOON, every=SECOND)
    export = ask(load)
    first_job = export.job_id

    run(export, in_acme)

    assert (export.state, export.n_tries) == ("waiting", 1)
    assert "The store for files does not answer" in export.message
    assert export.job_id != first_job
    assert Job.objects.get(pk=export.job_id).state == "queued"
    Export.objects.update(n_tries=len(export_services.RETRY_AFTER))
    assert run(export, in_acme).state == "failed"


def test_an_export_that_was_cancelled_is_not_written(in_acme):
    load = store(device(), "load", [1.0], at=NOON, every=SECOND)
    export = ask(load)

    assert services.cancel_export(export=export, at=timezone.now())

    assert run(export, in_acme).state == "cancelled"
    assert not services.cancel_export(export=export, at=timezone.now())


def test_cancelling_stops_it_between_two_pieces(in_acme, monkeypatch):
    monkeypatch.setattr(export_files, "PIECE_READINGS", 100)
    load = store(device(), "load", [1.0] * 1_000, at=NOON, every=SECOND)
    export = ask(load)
    read = selectors.raw

    def cancelling(**kwargs):
        services.cancel_export(export=export, at=timezone.now())
        return read(**kwargs)

    monkeypatch.setattr(selectors, "raw", cancelling)
    run(export, in_acme)

    assert (export.state, export.n_rows) == ("cancelled", None)


@pytest.mark.slow
def test_a_file_is_removed_when_its_time_is_up(bucket, in_acme):
    load = store(device(), "load", [1.0], at=NOON, every=SECOND)
    export = run(ask(load), in_acme)

    services.tidy_exports(at=timezone.now())
    assert content(export)
    services.tidy_exports(at=timezone.now() + timedelta(days=8))

    export.refresh_from_db()
    assert export.state == "expired"
    with pytest.raises(services.NotReady):
        content(export)


def test_an_export_whose_job_was_given_up_says_so(in_acme):
    export = ask(store(device(), "load", [1.0], at=NOON, every=SECOND))
    Job.objects.filter(pk=export.job_id).update(state=Job.State.DEAD)

    services.tidy_exports(at=timezone.now())

    export.refresh_from_db()
    assert export.state == "failed"


@pytest.mark.slow
def test_the_api_asks_follows_and_fetches(bucket, in_acme, portal):
    load = store(device(), "load", [1.0, 2.0], at=NOON, every=SECOND)
    engineer = portal("engineer")
    body = {"signal": [load.pk], "start": NOON.isoformat(), "end": (NOON + DAY).isoformat(),
            "form": "csv"}  # fmt: skip

    asked = engineer.post("/api/v1/exports", body, content_type="application/json")
    early = engineer.get(f"/api/v1/exports/{asked.json()['id']}/file")
    export = run(Export.objects.get(), in_acme)
    file = engineer.get(f"/api/v1/exports/{export.pk}/file")

    assert (asked.status_code, early.status_code, file.status_code) == (202, 409, 200)
    assert file.headers["Content-Disposition"].startswith("attachment;")
    assert file.headers["X-Content-Type-Options"] == "nosniff"
    assert int(file.headers["Content-Length"]) == len(b"".join(file.streaming_content))
    actions = AuditEntry.objects.filter(target=str(export.pk)).values_list("action", flat=True)
    assert sorted(actions) == ["export.downloaded", "export.requested"]


def test_a_viewer_takes_nothing_along(portal, in_acme):
    assert portal("viewer").get("/api/v1/exports").status_code == 403


def test_an_unknown_signal_is_named(portal, in_acme):
    body = {"signal": [99], "start": NOON.isoformat(), "end": (NOON + DAY).isoformat(),
            "form": "csv"}  # fmt: skip

    answer = portal().post("/api/v1/exports", body, content_type="application/json")

    assert (answer.status_code, answer.json()["message"]) == (409, "There is no signal 99.")


def test_valkey_away_keeps_no_export_from_being_asked_for(
    in_acme, settings, django_capture_on_commit_callbacks
):
    settings.VALKEY_URL = "redis://127.0.0.1:9/0"
    load = store(device(), "load", [1.0], at=NOON, every=SECOND)

    with django_capture_on_commit_callbacks(execute=True):
        ask(load)

    assert selectors.exports().count() == 1
