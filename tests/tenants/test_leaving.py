"""How a factory is deleted: what goes, what stays, who is told."""

import io
from contextlib import contextmanager

import pytest
from django.core import mail
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from tenants import audit, credentials, jobs, leaving, services, storage
from tenants.models import Credential, Departure, Factory, Job, Membership, User
from tenants.signals import factory_leaving
from tests.conftest import PUBLIC_HOST, Portal, sign_in


@pytest.fixture
def gone(db):
    """A factory of its own, with an owner and a viewer."""
    owner = User.objects.create_user("owner@gone.example", "owner-password-1")
    factory = services.create_factory(name="Gone Works", owner=owner, stem="gone")
    viewer = User.objects.create_user("viewer@gone.example")
    Membership.objects.create(user=viewer, factory=factory, role="viewer")
    credentials.issue_api_key(factory=factory, name="Line")
    return factory


@pytest.fixture
def owner(gone):
    return User.objects.get(email="owner@gone.example")


@pytest.fixture(autouse=True)
def store_is_away(monkeypatch):
    def away(*, prefix):
        raise storage.StorageUnavailable("away")

    monkeypatch.setattr(storage, "objects", away)


def remove(factory, **how):
    return leaving.remove(factory=factory, reason="owner", at=timezone.now(), **how)


def exists(schema):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
        return cursor.fetchone() is not None


def test_everything_goes_and_the_record_stays(gone, owner):
    for standing in ("past_due", "suspended"):
        leaving.set_standing(factory=gone, standing=standing, until=None)

    departure = remove(gone, actor=owner)

    assert not exists("gone")
    assert not Factory.objects.filter(schema_name="gone").exists()
    assert not Credential.objects.filter(factory_id=gone.pk).exists()
    departure.refresh_from_db()
    assert (departure.factory_name, departure.asked_by) == ("Gone Works", "owner@gone.example")
    assert [step["standing"] for step in departure.steps] == ["past_due", "suspended"]
    assert departure.n_rows > 0
    assert departure.n_objects is None  # the store did not say
    assert departure.digest == leaving.digest_of(departure)
    assert {job.task for job in Job.objects.filter(factory=None, state="queued")} >= {
        "tenants.remove_objects",
        "mlops.forget_models",
    }
    assert audit.verify() is None


def test_the_record_cannot_be_changed_and_a_change_would_show(gone):
    departure = remove(gone)

    for statement in ("UPDATE tenants_departure SET n_rows = 0", "DELETE FROM tenants_departure"):
        with (
            pytest.raises(DatabaseError, match="append-only"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
    departure.n_rows += 1
    assert departure.digest != leaving.digest_of(departure)


def test_a_deletion_that_fails_leaves_the_factory_and_no_record(gone, monkeypatch):
    def broken(**_kwargs):
        raise DatabaseError("no")

    monkeypatch.setattr(services, "remove_factory", broken)

    with pytest.raises(DatabaseError):
        remove(gone)

    assert exists("gone")
    assert not Departure.objects.exists()


def test_owners_get_the_record_by_mail(gone, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        departure = remove(gone)

    (letter,) = [one for one in mail.outbox if "deleted" in one.subject]
    assert letter.to == ["owner@gone.example"]
    assert departure.digest in letter.body
    assert "Gone Works" in letter.body


def test_the_job_does_it_once(gone, owner):
    first = leaving.request_removal(factory=gone, reason="payment", actor=None)
    assert leaving.request_removal(factory=gone, reason="payment", actor=None).pk == first.pk

    assert jobs.call(first.task, job=None, **first.kwargs)["departure_id"]
    assert jobs.call(first.task, job=None, **first.kwargs) == {}
    assert Departure.objects.get().reason == "payment"


def test_who_belonged_to_it_sees_when_it_was_deleted(gone, owner):
    remove(gone)

    page = factories_page(User.objects.get(email="viewer@gone.example"))

    assert "Gone Works" in page
    assert f"Deleted on {timezone.now():%Y-%m-%d}" in page
    assert "Gone Works" not in factories_page(User.objects.get(email="outsider@example.com"))


def test_an_old_link_leads_there_too_and_strangers_to_nothing(gone, owner):
    remove(gone)

    assert enter(owner).headers["Location"] == "/factories/"
    assert enter(User.objects.get(email="outsider@example.com")).status_code == 404


def test_an_export_that_runs_while_its_factory_is_deleted_stores_nothing(gone, monkeypatch):
    job = Job.objects.create(factory=gone, task="tenants.export_factory", state="running")
    begun = []

    @contextmanager
    def upload(*, key):
        begun.append(key)
        Factory.objects.filter(pk=gone.pk).delete()
        yield io.BytesIO()
        begun.append("stored")

    monkeypatch.setattr(storage, "upload", upload)

    with pytest.raises(jobs.JobCancelled):
        jobs.call(job.task, factory=gone, job=jobs.JobHandle(str(job.pk)), schema="gone")

    assert begun == [f"gone/leaving/{job.pk}.zip"]


def enter(user):
    client = Client()
    client.force_login(user)
    return client.get("/enter/gone/", secure=True, HTTP_HOST=PUBLIC_HOST)


def factories_page(user):
    client = Client()
    client.force_login(user)
    return client.get("/factories/", secure=True, HTTP_HOST=PUBLIC_HOST).content.decode()


def test_an_owner_types_the_name_to_delete(gone, owner):
    portal = Portal(sign_in(owner, gone), gone)

    portal.post("/settings/leaving/delete/", {"name": "gone works"})
    assert not Job.objects.filter(task=leaving.REMOVE).exists()
    answer = portal.post("/settings/leaving/delete/", {"name": "Gone Works"})

    assert answer.headers["Location"] == "https://localhost:8443/factories/"
    assert Job.objects.get(task=leaving.REMOVE).kwargs == {
        "factory_id": gone.pk,
        "reason": "owner",
        "actor_id": owner.pk,
    }


def test_an_admin_exports_but_does_not_delete(portal):
    assert "Type Acme" not in portal("admin").get("/settings/leaving/").content.decode()
    assert "Type Acme" in portal("owner").get("/settings/leaving/").content.decode()
    assert portal("admin").post("/settings/leaving/delete/", {"name": "x"}).status_code == 403


def test_the_name_can_be_used_again_after(gone, owner):
    remove(gone)

    again = services.create_factory(name="Gone Works", owner=owner, stem="gone")

    assert again.pk != gone.pk
    remove(again)
    assert Departure.objects.filter(schema_name="gone").count() == 2


def test_others_settle_while_the_factory_is_there_and_a_failure_keeps_nobody(gone):
    seen = []

    def settle(*, factory, at, **_kwargs):
        seen.append((factory.pk, exists("gone")))
        raise RuntimeError("cannot be settled")

    factory_leaving.connect(settle)
    try:
        remove(gone)
    finally:
        factory_leaving.disconnect(settle)

    assert seen == [(gone.pk, True)]
    assert not exists("gone")
