"""A factory's objects, on a real S3 server with signatures."""

import pytest

from tenants import names, storage
from tenants.context import NoFactory

# A store that refuses or is away leaves a socket of botocore's pool behind.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::ResourceWarning")]


def test_an_object_comes_back_as_it_was_stored(bucket, in_acme):
    storage.ensure_bucket()  # what is there already is no error
    key = names.object_key("tests", "a")
    storage.put_bytes(key=key, content=b"\x00\xff" * 70_000)
    storage.put_bytes(key=key, content=b"newer")

    assert storage.get_bytes(key=key) == b"newer"
    storage.delete(key=key)
    with pytest.raises(storage.ObjectMissing):
        storage.get_bytes(key=key)


def test_a_large_file_goes_and_comes_in_pieces(bucket, in_acme, tmp_path):
    key, content = names.object_key("tests", "large"), bytes(range(256)) * 50_000
    (tmp_path / "large").write_bytes(content)

    storage.put_file(key=key, path=tmp_path / "large")
    storage.get_file(key=key, path=tmp_path / "again")

    assert (tmp_path / "again").read_bytes() == content
    assert max(map(len, storage.stream(key=key))) <= storage.CHUNK_BYTES
    storage.delete(key=key)


def test_a_file_that_did_not_come_leaves_nothing_behind(bucket, in_acme, tmp_path):
    with pytest.raises(storage.ObjectMissing):
        storage.get_file(key=names.object_key("tests", "none"), path=tmp_path / "none")

    assert list(tmp_path.iterdir()) == []


def test_objects_are_listed_below_a_prefix(bucket, in_acme):
    for name in ("listed/b", "listed/a", "other"):
        storage.put_bytes(key=names.object_key("tests", name), content=b"12345")

    found = storage.objects(prefix=names.object_key("tests", "listed"))

    assert [(one.key, one.size) for one in found] == [
        ("acme/tests/listed/a", 5),
        ("acme/tests/listed/b", 5),
    ]


def test_another_factory_s_key_is_refused(bucket, in_acme):
    for call in (storage.get_bytes, storage.delete, storage.stream):
        with pytest.raises(storage.ForeignKey):
            call(key="globex/exports/a")
    with pytest.raises(storage.ForeignKey):
        storage.put_bytes(key="acme-2/exports/a", content=b"x")
    with pytest.raises(storage.ForeignKey):
        storage.objects(prefix="globex/")


def test_without_a_factory_no_object_is_reached(bucket, db):
    with pytest.raises(NoFactory):
        storage.get_bytes(key="acme/exports/a")


def test_a_wrong_secret_is_refused_without_being_repeated(bucket, in_acme, settings):
    settings.S3_SECRET_ACCESS_KEY = "not-the-secret-of-this-store"

    with pytest.raises(storage.StorageUnavailable) as refused:
        storage.put_bytes(key="acme/tests/a", content=b"x")

    assert "not-the-secret" not in str(refused.value)


def test_a_store_that_is_away_is_said_so(in_acme, settings, tmp_path):
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    (tmp_path / "a").write_bytes(b"x")

    with pytest.raises(storage.StorageUnavailable):
        storage.get_bytes(key="acme/tests/a")
    with pytest.raises(storage.StorageUnavailable):
        storage.put_file(key="acme/tests/a", path=tmp_path / "a")
