import pytest

from tenants import services
from tenants.context import factory_context
from tenants.models import Factory, Job, Membership, User


@pytest.fixture
def owner(db):
    return User.objects.create_user("new@example.com", "a-long-password-1")


def test_a_new_factory_is_usable(owner):
    factory = services.create_factory(name="Neue Fabrik", owner=owner, time_zone="Europe/Berlin")

    assert (factory.schema_name, factory.state) == ("neue_fabrik", "active")
    assert factory.domains.get().domain == "neue-fabrik.localhost"
    with factory_context(factory):
        from production import selectors

        assert selectors.sites().get().time_zone == "Europe/Berlin"
        assert selectors.lines().count() == 1


def test_the_second_of_a_name_gets_a_number(owner, acme):
    first, _ = services.request_factory(name="Acme", owner=owner)
    second, _ = services.request_factory(name="ACME!", owner=owner)

    assert [first.schema_name, second.schema_name] == ["acme_2", "acme_3"]


def test_a_reserved_name_is_not_given(owner):
    factory, _ = services.request_factory(name="Admin", owner=owner)

    assert factory.schema_name == "admin_2"


def test_building_twice_changes_nothing(owner):
    factory = services.create_factory(name="Twice", owner=owner)

    services.build_factory(factory_id=factory.pk)

    with factory_context(factory):
        from production import selectors

        assert selectors.sites().count() == 1


def test_a_factory_that_cannot_be_built_stays_closed(owner, monkeypatch):
    from tenants import schema

    factory, job = services.request_factory(name="Broken", owner=owner)
    monkeypatch.setattr(
        schema, "replay", lambda *_a, **_k: (_ for _ in ()).throw(RuntimeError("disk full"))
    )

    from tenants import jobs

    jobs.run(str(job.pk))

    assert Factory.objects.get(pk=factory.pk).state == "creating"
    assert "disk full" in Job.objects.get(pk=job.pk).error


def test_one_person_cannot_create_factories_without_end(owner):
    for n in range(services.MAX_FACTORIES_A_PERSON):
        services.request_factory(name=f"Works {n}x", owner=owner)

    with pytest.raises(services.TooManyFactories):
        services.request_factory(name="One more", owner=owner)


def test_removing_a_factory_leaves_nothing(owner):
    factory = services.create_factory(name="Gone", owner=owner)

    services.remove_factory(factory=factory, actor=owner)

    assert not Factory.objects.filter(schema_name="gone").exists()
    assert not Membership.objects.filter(user=owner).exists()


def test_work_over_all_factories_survives_one_that_fails(acme, globex):
    seen = []

    def work(factory):
        seen.append(factory.schema_name)
        if factory.schema_name == "acme":
            raise RuntimeError("no")

    errors = services.for_each_factory(work)

    assert seen == ["acme", "globex"]
    assert list(errors) == ["acme"]
