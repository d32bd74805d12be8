"""A factory that is removed leaves nothing in the object store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tenants import jobs, services, storage
from tenants.models import Factory, Job, User

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
WORK: dict[str, Any] = {"schema_name": "gone", "stored_before": NOON.isoformat()}


@pytest.fixture
def objects(monkeypatch):
    kept = {
        "gone/pictures/a.png": NOON - timedelta(days=1),
        "gone/models/b": NOON - timedelta(days=9),
        "gone/pictures/new.png": NOON + timedelta(hours=1),
        "acme/pictures/a.png": NOON - timedelta(days=1),
    }
    monkeypatch.setattr(
        storage,
        "objects",
        lambda *, prefix: [
            storage.StoredObject(key, 1, at) for key, at in kept.items() if key.startswith(prefix)
        ],
    )
    monkeypatch.setattr(storage, "delete", lambda *, key: kept.pop(storage._own(key)))
    return kept


def test_what_it_stored_is_removed_and_nothing_else(db, objects):
    assert jobs.call("tenants.remove_objects", **WORK) == {"n_removed": 2}
    assert sorted(objects) == ["acme/pictures/a.png", "gone/pictures/new.png"]
    assert jobs.call("tenants.remove_objects", **WORK) == {"n_removed": 0}


def test_a_store_that_is_away_is_tried_again(db, objects, monkeypatch):
    def away(*, prefix):
        raise storage.StorageUnavailable("away")

    monkeypatch.setattr(storage, "objects", away)

    jobs.call("tenants.remove_objects", **WORK)

    job = Job.objects.get(task="tenants.remove_objects")
    assert job.kwargs == WORK
    assert len(objects) == 4


def test_removing_a_factory_queues_it(db):
    owner = User.objects.create_user("owner@gone.example", "owner-password-1")
    factory = Factory(name="Gone", schema_name="gone")
    Factory.objects.bulk_create([factory])

    services.remove_factory(factory=Factory.objects.get(schema_name="gone"), actor=owner)

    assert Job.objects.get(task="tenants.remove_objects").kwargs["schema_name"] == "gone"
