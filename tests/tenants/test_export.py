"""An export of everything: what is in it, that it is whole, and who gets it."""

import csv
import hashlib
import io
import json
import tracemalloc
import zipfile
from datetime import UTC, datetime, timedelta

import pyarrow.parquet
import pytest

from billing import services as billing_services
from mlops import services as mlops_services
from production import services as production_services
from tenants import credentials, export, export_files, jobs, leaving, storage, tables
from tenants.context import factory_context
from tenants.models import Job
from tests.billing import staff_records
from tests.mlops.pictures import shots
from tests.telemetry.stored import device, store

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.slow


@pytest.fixture
def filled(in_acme, bucket):
    """A factory with a machine of a bad name, readings in two months, and a picture."""
    kind = production_services.machine_type(name="Mill")
    production_services.add_machine(name="=HYPERLINK(1)", machine_type=kind)
    mill = device("Mill 1")
    store(mill, "load", [1.5, -2.0], at=NOON, every=timedelta(days=20))
    mlops_services.add_picture(plan_id=shots.plan().pk, content=shots.shot(), source="api", at=NOON)
    return in_acme


def write(factory):
    job = export.request_export(by=None)
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    result = jobs.call(export.TASK, factory=factory, job=jobs.JobHandle(str(job.pk)), **job.kwargs)
    now = datetime.now(UTC)
    Job.objects.filter(pk=job.pk).update(state=Job.State.DONE, result=result, finished_at=now)
    job.refresh_from_db()
    return job


def opened(job):
    content = b"".join(export.file_of(job, by=None))
    assert len(content) == job.result["n_bytes"]
    return zipfile.ZipFile(io.BytesIO(content))


def test_every_table_is_there_with_every_row_and_runs_no_formula(filled):
    archive = opened(write(filled))

    manifest = json.loads(archive.read("manifest.json"))
    for name, n_rows in tables.row_counts().items():
        said = manifest["tables"][name]
        assert said["n_rows"] == n_rows
        if said["written_as"].endswith(".csv"):
            rows = list(csv.reader(io.StringIO(archive.read(said["written_as"]).decode())))
            assert len(rows) == n_rows + 1, name
            for row in rows:
                assert not any(cell.startswith(("=", "@", "\t", "\r")) for cell in row)
    assert "'=HYPERLINK(1)" in archive.read("tables/production_machine.csv").decode()


def test_the_manifest_names_every_file_with_its_checksum(filled):
    archive = opened(write(filled))

    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    files = {file["path"]: file for file in manifest["files"]}
    assert {*files, "manifest.json"} == set(archive.namelist())
    for path, file in files.items():
        content = archive.read(path)
        assert (file["n_bytes"], file["sha256"]) == (
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
    assert manifest["time_zone"] == "Europe/Berlin"


def test_readings_come_by_device_and_month_and_pictures_as_they_are_kept(filled):
    archive = opened(write(filled))

    months = sorted(name for name in archive.namelist() if name.startswith("readings/"))
    assert [name.rsplit("/", 1)[1] for name in months] == ["2026-11.parquet", "2026-12.parquet"]
    found = [
        pyarrow.parquet.read_table(io.BytesIO(archive.read(name)))["value"].to_pylist()
        for name in months
    ]
    assert found == [[1.5], [-2.0]]
    (picture,) = [name for name in archive.namelist() if name.startswith("pictures/")]
    assert archive.read(picture).startswith(b"\x89PNG")


def test_invoices_and_the_ledger_are_in_it(filled):
    account = billing_services.account_for(filled)
    staff_records.invoice(account)
    staff_records.entry(account)

    archive = opened(write(filled))

    files = {file["path"]: file for file in json.loads(archive.read("manifest.json"))["files"]}
    for name in ("invoices", "ledger"):
        assert files[f"billing/{name}.csv"]["n_rows"] == 1
    assert b"T-17,paid,EUR,123456" in archive.read("billing/invoices.csv")
    assert b"readings,2026-11-17T12:00:00Z,3,0,counted" in archive.read("billing/ledger.csv")


def test_no_secret_and_nothing_of_another_factory_is_in_it(filled, globex):
    token = credentials.issue_api_key(factory=filled, name="Line")
    with factory_context(globex):
        kind = production_services.machine_type(name="Oven of globex")
        production_services.add_machine(name="Oven of globex", machine_type=kind)
    with factory_context(filled):
        archive = opened(write(filled))

    whole = b"".join(archive.read(name) for name in archive.namelist())
    assert token.encode() not in whole
    assert credentials.digest(token).hex().encode() not in whole
    assert b"globex" not in whole


def test_memory_holds_a_part_and_not_the_whole(in_acme, bucket, monkeypatch):
    """60 MB that do not compress go through a part of 8 MiB."""
    n_pieces = 60
    noise = [hashlib.shake_256(bytes([n])).digest(1_000_000) for n in range(n_pieces)]

    def content() -> export_files.Content:
        yield from noise
        return n_pieces

    def files():
        yield export_files.ExportFile("noise.bin", "Noise.", content(), is_packed=True)

    one = export.Contribution("noise", files, frozenset(), None)
    monkeypatch.setattr(export, "_CONTRIBUTIONS", {"noise": one})
    tracemalloc.start()
    job = write(in_acme)
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 40_000_000
    assert opened(job).read("noise.bin") == b"".join(noise)


def test_a_store_that_goes_away_leaves_nothing_half(filled, monkeypatch):
    monkeypatch.setattr(storage, "PART_BYTES", 1)

    def away(*_args):
        raise storage.StorageUnavailable("away")

    monkeypatch.setattr(storage.Upload, "_send", away)
    job = export.request_export(by=None)
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)

    with pytest.raises(storage.StorageUnavailable):
        export.write(job_id=str(job.pk), at=NOON, report=lambda *_a: None)

    assert [o for o in storage.objects(prefix="acme/leaving/") if str(job.pk) in o.key] == []


def test_it_is_kept_for_thirty_days(filled):
    job = write(filled)

    assert export.tidy(at=datetime.now(UTC) + timedelta(days=29)) == 0
    assert export.tidy(at=datetime.now(UTC) + timedelta(days=31)) >= 1
    with pytest.raises(export.NotReady):
        export.file_of(job, by=None)


def test_one_at_a_time(in_acme):
    assert export.request_export(by=None).pk == export.request_export(by=None).pk


@pytest.mark.parametrize("standing", ["good", "read_only", "suspended"])
def test_owners_and_admins_fetch_it_in_every_standing(filled, portal, standing):
    leaving.set_standing(factory=filled, standing=standing, until=None)
    assert portal("admin").post("/settings/leaving/export/").status_code == 302
    job = write(filled)
    path = f"/settings/leaving/export/{job.pk}/file"

    for role in ("owner", "admin"):
        answer = portal(role).get(path)
        assert b"".join(answer.streaming_content)[:2] == b"PK"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    assert portal("engineer").get(path).status_code == 403
    assert portal("engineer").post("/settings/leaving/export/").status_code == 403


def test_the_api_gives_it_to_members_and_to_no_key(filled, portal, api_key):
    owner = portal("owner")

    asked = owner.post("/api/v1/factory/export")
    job = write(filled)
    found = owner.get("/api/v1/factory/export").json()

    assert asked.status_code == 202
    assert found[0]["id"] == str(job.pk) == asked.json()["id"]
    assert found[0]["n_bytes"] == job.result["n_bytes"]
    answer = owner.get(f"/api/v1/factory/export/{job.pk}/file")
    assert b"".join(answer.streaming_content)[:2] == b"PK"
    key = {"headers": {"Authorization": f"Bearer {api_key}"}}
    assert owner.get("/api/v1/factory/export", **key).status_code == 403
