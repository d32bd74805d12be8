"""The cast of every test: factories acme and globex, and people in each role."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.test.utils import override_settings
from whitenoise.middleware import WhiteNoiseMiddleware
from xdist.scheduler import LoadScopeScheduling

from infra.local.stack import Stack
from tenants import credentials, services, storage
from tenants.connection import schemas
from tenants.context import factory_context
from tenants.models import Factory, Membership, Role, User
from tests.installation import VAR

PUBLIC_HOST = "localhost:8443"


class ByFolder(LoadScopeScheduling):
    """A folder of tests stays in one process: they share an installation."""

    def _split_scope(self, nodeid: str) -> str:
        return "/".join(nodeid.split("/")[:2])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """With `--dist loadscope` a scope is a folder. Marks (`loadgroup`) are lost on pytest 9.2."""
    return ByFolder(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: Any, django_db_blocker: Any) -> None:
    """Make both factories once a run; each test works in a transaction that is undone."""
    with django_db_blocker.unblock():
        if not Factory.objects.filter(schema_name="acme").exists():
            for stem, name in (("acme", "Acme Precision"), ("globex", "Globex Foods")):
                owner = User.objects.create_user(f"owner@{stem}.example", "owner-password-1")
                factory = services.create_factory(
                    name=name, owner=owner, stem=stem, time_zone="Europe/Berlin"
                )
                factory.limits.max_machines = factory.limits.max_people = None
                factory.limits.save()
                for role in Role.values[1:]:
                    user = User.objects.create_user(f"{role}@{stem}.example", name=f"{role} one")
                    Membership.objects.create(user=user, factory=factory, role=role)
            User.objects.create_user("outsider@example.com", name="Out Sider")


@pytest.fixture
def acme(db: None) -> Factory:
    factory: Factory = Factory.objects.get(schema_name="acme")
    return factory


@pytest.fixture
def globex(db: None) -> Factory:
    factory: Factory = Factory.objects.get(schema_name="globex")
    return factory


@pytest.fixture
def in_acme(acme: Factory) -> Iterator[Factory]:
    """Run the test inside acme's schema."""
    with factory_context(acme):
        yield acme


@pytest.fixture(scope="session", autouse=True)
def _static_files_read_once() -> Iterator[None]:
    """Every `Client` makes the middleware anew, which would look at all files for 30 ms."""
    read = WhiteNoiseMiddleware.add_files_from_finders
    known: dict[str, Any] = {}

    def add_files(self: WhiteNoiseMiddleware) -> None:
        if not known:
            read(self)
            known.update(self.files)
        self.files.update(known)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", add_files)
        yield


@pytest.fixture(scope="session", autouse=True)
def _passwords_hashed_quickly() -> Iterator[None]:
    """A hash that is slow on purpose takes 200 ms a person; those that there are stay readable."""
    quick = "django.contrib.auth.hashers.MD5PasswordHasher"
    with override_settings(PASSWORD_HASHERS=[quick, *settings.PASSWORD_HASHERS]):
        yield


@pytest.fixture(autouse=True)
def _back_to_public() -> Iterator[None]:
    yield
    schemas.set_schema_to_public()


def host_of(factory: Factory) -> str:
    return f"{factory.schema_name}.localhost:8443"


@dataclass
class Portal:
    """A browser on a factory's host, signed in as a member of some factory."""

    client: Client
    factory: Factory

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.client.get(path, secure=True, HTTP_HOST=host_of(self.factory), **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return self.client.post(path, data, secure=True, HTTP_HOST=host_of(self.factory), **kwargs)

    def request(self, method: str, path: str, data: Any = None, **kwargs: Any) -> Any:
        call = getattr(self.client, method.lower())
        return call(path, data, secure=True, HTTP_HOST=host_of(self.factory), **kwargs)


def sign_in(user: User, factory: Factory) -> Client:
    """Sign in as a ticket does: a session of this factory that hangs on one of the public host."""
    public = Client()
    public.force_login(user)
    client = Client()
    client.force_login(user)
    session = client.session
    session["factory_id"] = factory.pk
    session["origin_session_key"] = public.session.session_key
    session.save()
    return client


@pytest.fixture
def portal(acme: Factory) -> Callable[..., Portal]:
    """Return `portal(role, factory=acme)`: a member of a factory on that factory's host."""

    def make(role: str = Role.OWNER, factory: Factory = acme) -> Portal:
        user = User.objects.get(email=f"{role}@{factory.schema_name}.example")
        return Portal(sign_in(user, factory), factory)

    return make


@pytest.fixture
def api_key(acme: Factory) -> str:
    return credentials.issue_api_key(factory=acme, name="test")


@pytest.fixture
def other_api_key(globex: Factory) -> str:
    """A key of the wrong factory."""
    return credentials.issue_api_key(factory=globex, name="test")


@pytest.fixture(scope="session")
def s3() -> Iterator[dict[str, str]]:
    """A real S3 server with signatures, started for the tests that store objects."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    with Stack(var=VAR / f"objects-{worker}", services=["s3"], log=lambda _line: None) as stack:
        yield stack.env


@pytest.fixture
def bucket(s3: dict[str, str], settings: Any) -> None:
    """Let `tenants.storage` reach the S3 server."""
    settings.S3_ENDPOINT_URL = s3["S3_ENDPOINT_URL"]
    settings.S3_ACCESS_KEY_ID = s3["S3_ACCESS_KEY_ID"]
    settings.S3_SECRET_ACCESS_KEY = s3["S3_SECRET_ACCESS_KEY"]
    settings.S3_BUCKET = s3.get("S3_BUCKET", "takt")
    storage.ensure_bucket()
