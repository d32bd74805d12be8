"""Readings go to the archive and come back, on a real S3 server with signatures."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from telemetry import archive as files
from telemetry import selectors, services
from telemetry.models import ArchiveFile, Rollup, Segment, SignalKey, Word
from telemetry.services import archiving, locking, segments
from tenants import names, storage
from tests.telemetry.history import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    at,
    closed_to,
    device,
    each,
    levels,
    put_hot,
    put_open,
    read,
)

# A store that refuses or is away leaves a socket of botocore's pool behind.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]
MONTH = 30 * DAY
NOW = at(T0 + 800 * DAY)


@pytest.fixture
def press(in_acme, bucket, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    in_acme.limits.archive_days = 700
    in_acme.limits.save()
    found = device()
    yield found
    for one in storage.objects(prefix=names.object_key("archive") + "/"):
        storage.delete(key=one.key)


def shapes(i: int) -> dict:
    some = {"load": i % 97 / 10, "ts": i % 5 == 0, "state": f"s{i % 3}"}
    return {"load": -3.5} if i % 4 == 1 else {"load": "off"} if i % 4 == 2 else some


def sealed(device_id: int) -> None:
    put_hot(device_id, each(T0, 20 * SECOND, 900, shapes))
    put_hot(device_id, each(T0 + 40 * DAY, 6 * HOUR, 300, shapes))
    services.compact(at=at(T0 + 720 * DAY))


def archived(device_id: int, keys: list[str], start: int = 0, end: int = 2**51) -> dict:
    """What the archive says of a device, as columns of codes by time."""
    found: dict[int, list[float]] = {}
    for file in ArchiveFile.objects.filter(device_id=device_id):
        times, values = files.read(file, keys, at(start), at(end))
        found |= dict(zip(times.tolist(), values.tolist(), strict=True))
    return found


def test_the_archive_answers_as_the_segments_did(press):
    sealed(press)
    before = read(press)

    done = services.archive(at=NOW)

    assert (done.files, done.skipped) == (3, 0)
    gone = {t: values for t, values in before.items() if t < T0 + 3 * MONTH}
    assert done.readings == len(gone)
    assert read(press) == {t: v for t, v in before.items() if t not in gone}
    words = dict(Word.objects.values_list("text", "pk"))
    found = archived(press, ["ts", "state", "load", "never"])
    assert found.keys() == gone.keys()
    for time_us, values in gone.items():
        wanted = [values.get("ts"), values.get("state"), values.get("load"), None]
        wanted = [words[one] if isinstance(one, str) else one for one in wanted]
        np.testing.assert_array_equal(
            found[time_us], [np.nan if one is None else float(one) for one in wanted]
        )
    assert closed_to(press) == T0 + 3 * MONTH
    assert services.archive(at=NOW).files == 0


def test_a_part_of_the_range_is_read(press):
    sealed(press)
    services.archive(at=NOW)

    found = archived(press, ["load"], T0 + HOUR, T0 + HOUR + MINUTE)

    assert sorted(found) == [T0 + HOUR + i * 20 * SECOND for i in range(3)]


def test_a_file_says_what_it_holds_without_takt(press):
    import pyarrow.parquet as pq

    sealed(press)
    services.archive(at=NOW)
    file = ArchiveFile.objects.get(device_id=press, t0=at(T0))

    table = pq.read_table(files.fetch(file, file.t0, file.t1))

    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds == {
        "ts": "timestamp[us, tz=UTC]", "load": "double", "ts:b": "bool",
        "state": "dictionary<values=string, indices=int32, ordered=0>",
        "load:s": "dictionary<values=string, indices=int32, ordered=0>",
    }  # fmt: skip
    assert table.column("state")[0].as_py() == "s0"
    assert file.n == table.num_rows == 900


def test_a_month_comes_back_as_it_was(press):
    sealed(press)
    before = read(press)
    n_rollups = Rollup.objects.count()
    services.archive(at=NOW)

    for month in (2, 1, 0):
        services.restore(device_id=press, t0=at(T0 + month * MONTH))

    assert read(press) == before
    assert not ArchiveFile.objects.exists()
    assert closed_to(press) == T0
    assert Rollup.objects.count() == n_rollups
    assert services.rebuild_rollups() == n_rollups
    assert set(levels(press)) >= {(Segment.Level.MONTH, 120)}
    with pytest.raises(services.NoArchiveFile):
        services.restore(device_id=press, t0=at(T0))


def test_what_the_archive_grew_by_can_be_counted_again_after_it_shrank(press):
    start, end = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    def grown():
        return sum(n for _hour, n in selectors.archived_bytes_by_hour(start=start, end=end))

    sealed(press)
    done = services.archive(at=NOW)

    assert grown() == done.n_bytes
    assert selectors.archive_changed_since(start)
    services.restore(device_id=press, t0=at(T0 + 2 * MONTH))
    assert grown() == sum(ArchiveFile.objects.values_list("n_bytes", flat=True)) < done.n_bytes
    assert not selectors.archive_changed_since(end)
    assert selectors.archived_bytes_by_hour(start=end, end=end + timedelta(days=1)) == []


def test_a_restored_month_stays_closed_while_a_later_one_is_away(press):
    sealed(press)
    services.archive(at=NOW)

    services.restore(device_id=press, t0=at(T0))

    assert closed_to(press) == T0 + 3 * MONTH


def test_rollups_of_archived_months_outlive_a_rebuild(press):
    sealed(press)
    services.archive(at=NOW)
    before = sorted(Rollup.objects.values_list("level", "t0"))
    assert before

    services.rebuild_rollups()

    assert sorted(Rollup.objects.values_list("level", "t0")) == before


@pytest.mark.parametrize(
    ("owner", "name"),
    [(storage, "put_file"), (archiving, "_verify"), (segments, "insert"), (ArchiveFile, "save")],
)
def test_killed_half_way_nothing_is_lost_or_doubled(press, monkeypatch, owner, name):
    sealed(press)
    before = read(press)

    def die(*_args, **_kwargs):
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(RuntimeError):
            services.archive(at=NOW)
    assert read(press) == before
    assert not ArchiveFile.objects.exists()
    services.archive(at=NOW)

    assert len(storage.objects(prefix=names.object_key("archive"))) == 3
    assert read(press).keys() | archived(press, ["load"]).keys() == before.keys()


def test_a_month_with_something_unsealed_waits(press):
    put_hot(press, each(T0, MINUTE, 100, shapes))
    services.compact(at=NOW)
    put_hot(press, {T0 + 1: {"load": 1.0}})

    assert services.archive(at=NOW).skipped == 1
    services.compact(at=NOW)
    assert services.archive(at=NOW).files == 1


def test_a_locked_device_waits(press, monkeypatch):
    sealed(press)

    def busy(_device_id):
        raise locking.DeviceBusy

    monkeypatch.setattr(archiving, "locked", busy)

    assert services.archive(at=NOW).skipped == 3


def test_a_file_that_was_changed_is_refused(press):
    sealed(press)
    services.archive(at=NOW)
    file = ArchiveFile.objects.get(device_id=press, t0=at(T0))
    storage.put_bytes(key=file.key, content=storage.get_bytes(key=file.key)[:-1] + b"x")

    with pytest.raises(files.ArchiveDamaged):
        files.read(file, ["load"], file.t0, file.t1)
    with pytest.raises(files.ArchiveDamaged):
        services.restore(device_id=press, t0=at(T0))
    assert ArchiveFile.objects.filter(device_id=press, t0=at(T0)).exists()


def test_a_store_that_is_away_is_named_with_the_range(press, settings):
    sealed(press)
    services.archive(at=NOW)
    file = ArchiveFile.objects.get(device_id=press, t0=at(T0))
    there = settings.S3_ENDPOINT_URL
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:1"

    with pytest.raises(files.ArchiveAway, match="2025-"):
        files.read(file, ["load"], at(T0 + HOUR), NOW)

    settings.S3_ENDPOINT_URL = there
    files.read(file, ["load"], file.t0, file.t1)
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:1"
    assert len(files.read(file, ["load"], file.t0, NOW)[0]) == 900  # from this machine
    settings.S3_ENDPOINT_URL = there


def test_what_is_kept_of_read_files_is_bounded(press, tmp_path, monkeypatch):
    sealed(press)
    services.archive(at=NOW)
    monkeypatch.setattr(files, "CACHE_BYTES", 1)

    archived(press, ["load"])

    assert len(list((tmp_path / "archive").iterdir())) == 1


def test_objects_without_a_row_are_swept(press):
    sealed(press)
    services.archive(at=NOW)
    services.restore(device_id=press, t0=at(T0 + 2 * MONTH))
    now = storage.objects(prefix=names.object_key("archive"))[0].stored_at

    assert services.sweep_archive(at=now) == 0
    assert services.sweep_archive(at=now + timedelta(days=2)) == 1
    assert ArchiveFile.objects.count() == 2
    assert len(storage.objects(prefix=names.object_key("archive"))) == 2


def test_expired_months_leave_the_archive(press, in_acme):
    put_open(press, each(T0, SECOND, 100, lambda i: {"load": i}))
    services.compact(at=NOW)
    services.archive(at=NOW)
    in_acme.limits.history_days = 720
    in_acme.limits.save()

    services.expire(at=NOW)

    assert not ArchiveFile.objects.exists()
    assert SignalKey.objects.filter(key="load").exists()


def test_a_month_expires_also_where_the_archive_has_gone_on_to_later_ones(press, in_acme):
    """Archiving closes a device up to the archived month's end: expiry is behind that."""
    put_open(press, each(T0, SECOND, 100, lambda i: {"load": i}))
    put_open(press, each(T0 + 2 * MONTH, SECOND, 100, lambda i: {"load": i}))
    services.compact(at=NOW)
    services.archive(at=NOW)
    first, later = ArchiveFile.objects.order_by("t0")
    in_acme.limits.history_days = (NOW - first.t1).days - 1
    in_acme.limits.save()

    services.expire(at=NOW)

    assert list(ArchiveFile.objects.all()) == [later]


def test_commands_archive_and_restore_a_factory(press, capsys):
    sealed(press)
    before = read(press)

    call_command("archive", "acme")
    call_command("restore", "acme", str(press))

    said = capsys.readouterr().out
    assert "readings; 0 months" not in said
    assert read(press) == before
    with pytest.raises(CommandError, match="no archived month"):
        call_command("restore", "acme", str(press), "2025-03-14")
    with pytest.raises(CommandError, match="no factory"):
        call_command("archive", "nowhere")
