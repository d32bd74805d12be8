"""Every route, as the wrong factory.

Routes are found by walking the URL configuration; a route with a parameter that
`objects.PATH_PARAMETERS` does not know fails the suite.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver
from django.urls.resolvers import RoutePattern

from tenants.context import factory_context
from tenants.models import Factory, User
from tests.conftest import PUBLIC_HOST, host_of, sign_in
from tests.isolation.objects import PATH_PARAMETERS

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Open to everybody on a factory's host, because one is not signed in there yet.
OPEN = {"/enter/", "/health", "/api/v1/openapi.json"}


@dataclass(frozen=True)
class Route:
    path: str  # with <parameters>
    parameters: tuple[str, ...]

    def fill(self, values: dict[str, object]) -> str:
        path = self.path
        for name in self.parameters:
            path = re.sub(rf"<(?:\w+:)?{name}>", str(values[name]), path)
        return path


def walk(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> Iterator[Route]:
    for pattern in patterns:
        assert isinstance(pattern.pattern, RoutePattern) or prefix.startswith("/accounts"), (
            f"{prefix}: routes are written with path(), so that this walk can read them"
        )
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        else:
            yield Route(path, tuple(re.findall(r"<(?:\w+:)?(\w+)>", path)))


FACTORY_ROUTES = sorted(
    set(walk(import_module(settings.ROOT_URLCONF).urlpatterns)), key=lambda route: route.path
)


def ids(routes: list[Route]) -> list[str]:
    return [route.path for route in routes]


@pytest.mark.parametrize("route", FACTORY_ROUTES, ids=ids(FACTORY_ROUTES))
def test_every_parameter_of_every_route_has_a_case(route):
    unknown = set(route.parameters) - set(PATH_PARAMETERS)
    assert not unknown, f"{route.path}: add {unknown} to tests/isolation/objects.py"


@pytest.fixture
def acme_values(route: Route, acme: Factory) -> dict[str, object]:
    """What acme has for the parameters of the route; all there is would take five times as long."""
    with factory_context(acme):
        return {name: PATH_PARAMETERS[name](acme) for name in route.parameters}


@pytest.fixture
def stranger(globex: Factory) -> Client:
    """The owner of globex, signed in at globex."""
    return sign_in(User.objects.get(email="owner@globex.example"), globex)


CLOSED = [route for route in FACTORY_ROUTES if route.path not in OPEN]


@pytest.mark.parametrize("route", CLOSED, ids=ids(CLOSED))
def test_a_session_of_another_factory_meets_404_on_this_host(route, acme, acme_values, stranger):
    for method in METHODS:
        answer = stranger.generic(
            method, route.fill(acme_values), secure=True, HTTP_HOST=host_of(acme)
        )
        assert answer.status_code == 404, f"{method} {route.path}: {answer.status_code}"


WITH_OBJECTS = [route for route in FACTORY_ROUTES if route.parameters]


@pytest.mark.parametrize("route", WITH_OBJECTS, ids=ids(WITH_OBJECTS))
def test_another_factory_s_objects_are_not_found_at_home(
    route, acme, globex, acme_values, stranger
):
    """The same person, at home, with ids of acme in the address."""
    n_known = 0
    for method in METHODS:
        answer = stranger.generic(
            method, route.fill(acme_values), secure=True, HTTP_HOST=host_of(globex)
        )
        assert answer.status_code in (404, 405), f"{method} {route.path}: {answer.status_code}"
        n_known += answer.status_code == 404
    assert n_known, f"{route.path}: no method is served"


@pytest.mark.parametrize("route", WITH_OBJECTS, ids=ids(WITH_OBJECTS))
def test_the_same_addresses_exist_for_their_owner(route, acme, acme_values):
    """So that the 404 above means "not yours", not "no such thing"."""
    owner = sign_in(User.objects.get(email="owner@acme.example"), acme)
    statuses = {
        method: owner.generic(
            method,
            route.fill(acme_values),
            data=b"{}",
            content_type="application/json",
            secure=True,
            HTTP_HOST=host_of(acme),
        ).status_code
        for method in ("GET", "POST")
    }
    assert any(status not in (404, 405) for status in statuses.values()), statuses


API_ROUTES = [r for r in CLOSED if r.path.startswith("/api/v1/")]


@pytest.mark.parametrize("route", API_ROUTES, ids=ids(API_ROUTES))
def test_an_api_key_meets_404_for_another_factory(route, acme, globex, acme_values, other_api_key):
    key: Any = {"HTTP_AUTHORIZATION": f"Bearer {other_api_key}"}
    for method in METHODS:
        path = route.fill(acme_values)
        on_their_host = Client().generic(method, path, secure=True, HTTP_HOST=host_of(acme), **key)
        assert on_their_host.status_code == 404, f"{method} {route.path}"
        if route.parameters:
            anywhere = Client().generic(method, path, secure=True, HTTP_HOST=PUBLIC_HOST, **key)
            assert anywhere.status_code in (404, 405), f"{method} {route.path}"


@pytest.mark.parametrize("route", API_ROUTES, ids=ids(API_ROUTES))
def test_without_a_key_the_api_says_nothing(route, acme_values):
    answer = Client().get(route.fill(acme_values), secure=True, HTTP_HOST=PUBLIC_HOST)

    assert answer.status_code in (401, 405)
