"""Cameras, people and jobs that reach for the same picture at the same time."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from mlops import picture_store, services
from mlops.models import ImageLabel, InspectionImage, PendingPicture
from production.models import InspectionPlan
from tenants import storage
from tenants.context import factory_context
from tenants.models import Job
from tests.mlops.pictures import shots
from tests.telemetry.ingest.conftest import Plant

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
N_AT_ONCE = 4
JOIN_S = 60


@pytest.fixture
def objects(monkeypatch) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(storage, "put_bytes", lambda *, key, content: kept.update({key: content}))
    monkeypatch.setattr(storage, "delete", lambda *, key: kept.pop(key, None))
    return kept


@pytest.fixture
def plan(plant: Plant, objects) -> Iterator[InspectionPlan]:
    with plant.inside("mills"):
        Job.objects.filter(task="mlops.store_pictures").delete()
        yield shots.plan(name=str(uuid4()), item_no="at once")
        InspectionImage.objects.all().delete()


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do each on a connection of its own; return what they returned."""
    gate, results = threading.Barrier(len(works)), []

    def run(work: Callable[[], object]) -> None:
        try:
            with factory_context("mills"):
                connection.ensure_connection()
                gate.wait(JOIN_S)
                results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert len(results) == len(works)
    return results


def add(plan: InspectionPlan, seed: int = 0) -> tuple[InspectionImage, bool]:
    return services.add_picture(plan_id=plan.pk, content=shots.shot(seed), source="api", at=NOON)


def test_one_picture_sent_by_several_at_once_is_one(plan):
    found = at_once(*[lambda: add(plan)] * N_AT_ONCE)

    assert len({image.pk for image, _ in found}) == 1
    assert Counter(is_new for _, is_new in found) == {True: 1, False: N_AT_ONCE - 1}
    assert PendingPicture.objects.count() == 1


def test_several_pictures_at_once_share_one_job(plan):
    at_once(*[lambda seed=seed: add(plan, seed) for seed in range(N_AT_ONCE)])

    assert PendingPicture.objects.count() == N_AT_ONCE
    assert Job.objects.filter(task="mlops.store_pictures", state="queued").count() == 1


def test_several_jobs_bring_each_picture_once(plan, objects):
    images = [add(plan, seed)[0] for seed in range(6)]

    n_stored = at_once(*[lambda: services.store_pictures(image_id=images[0].pk)] * N_AT_ONCE)

    assert sum(n_stored) == 6
    assert len(objects) == 12
    assert not PendingPicture.objects.exists()


def test_a_picture_that_is_being_brought_is_not_left_behind_by_retention(
    plan, objects, monkeypatch
):
    """Retention waits for the store, then removes what it got: no object without a row."""
    image, _ = add(plan)
    is_putting, may_go_on = threading.Event(), threading.Event()

    def put(*, key, content):
        is_putting.set()
        may_go_on.wait(JOIN_S)
        objects[key] = content

    def retain():
        is_putting.wait(JOIN_S)
        threading.Timer(0.3, may_go_on.set).start()
        return services.retain_pictures(at=NOON + timedelta(days=100))

    monkeypatch.setattr(storage, "put_bytes", put)
    at_once(lambda: picture_store.bring(image.pk), retain)

    image.refresh_from_db()
    assert (image.object_key, objects) == ("", {})
    assert not PendingPicture.objects.exists()


def test_one_request_sent_twice_at_once_labels_once(plan):
    image, _ = add(plan)
    request = uuid4()

    at_once(
        *[
            lambda: services.label_picture(
                image_id=image.pk, label="good", by=None, at=NOON, request_id=request
            )
        ]
        * N_AT_ONCE
    )

    assert ImageLabel.objects.filter(image=image).count() == 1


def test_a_label_and_retention_at_once_leave_a_labelled_picture_whole_or_say_it_is_gone(plan):
    """Whoever is first wins: never a picture that was labelled in time and lost its pixels."""
    for seed in range(6):
        image, _ = add(plan, seed)
        at_once(
            lambda image=image: services.label_picture(
                image_id=image.pk, label="good", by=None, at=NOON
            ),
            lambda: services.retain_pictures(at=NOON + timedelta(days=100)),
        )
        image.refresh_from_db()
        assert image.label == "good"
        assert bool(image.object_key) == PendingPicture.objects.filter(pk=image.pk).exists()
