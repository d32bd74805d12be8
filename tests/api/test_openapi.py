"""The OpenAPI document is complete, true and full of examples."""

import json

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from django.test import Client
from django.urls import URLResolver, get_resolver
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from tests.conftest import PUBLIC_HOST

# Served in front of Django and tested there.
IN_FRONT = [
    "/api/v1/telemetry", "/api/v2/write", "/write", "/ping", "/api/v2/ping",
    "/api/v1/{token}/telemetry", "/api/v1/{token}/attributes",
]  # fmt: skip


def document():
    answer = Client().get("/api/v1/openapi.json?format=json", secure=True, HTTP_HOST=PUBLIC_HOST)
    assert answer.status_code == 200, answer.content[:500]
    return json.loads(answer.content)


def test_every_route_of_the_api_is_in_the_document(db):
    (api,) = [
        p
        for p in get_resolver("config.urls_factory").url_patterns
        if isinstance(p, URLResolver) and str(p.pattern) == "api/v1/"
    ]
    written = {path.replace("{", "<").replace("}", ">") for path in document()["paths"]}
    served = set()
    for floor in api.url_patterns:
        if isinstance(floor, URLResolver):
            for route in floor.url_patterns:
                path = "/api/v1/" + str(route.pattern)
                for converter in ("uuid:", "int:", "slug:", "str:"):
                    path = path.replace(f"<{converter}", "<")
                served.add(path)

    assert served <= written, served - written


def test_readings_are_in_the_document_with_an_example(db):
    operation = document()["paths"]["/api/v1/telemetry"]["post"]

    content = operation["requestBody"]["content"]["application/json"]
    assert "examples" in content or "example" in content
    assert {"200", "400", "401", "503"} <= set(operation["responses"])


def test_every_way_in_is_in_the_document_with_its_own_answers(db):
    paths = document()["paths"]

    assert set(IN_FRONT) <= set(paths)
    assert {"204", "400", "413", "429", "503"} <= set(paths["/api/v2/write"]["post"]["responses"])
    assert {"get", "post"} <= set(paths["/api/v1/{token}/attributes"])


def test_every_operation_says_what_it_does(db):
    silent = [
        f"{method} {path}"
        for path, item in document()["paths"].items()
        for method, operation in item.items()
        if method in ("get", "post", "put", "patch", "delete")
        and not (operation.get("description") or operation.get("summary"))
    ]

    assert silent == []


def test_every_write_has_an_example(db):
    spec = document()
    without = []
    for path, item in spec["paths"].items():
        for method in ("post", "put", "patch"):
            body = item.get(method, {}).get("requestBody")
            if body and not any(
                "example" in c or "examples" in c for c in body["content"].values()
            ):
                without.append(f"{method} {path}")

    assert without == []


@pytest.fixture
def wsgi():
    """The application as a server has it, but inside the transaction of the test."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield get_wsgi_application()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


PROBE = settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
def test_the_api_does_what_its_document_says(wsgi, api_key, mode):
    """Schemathesis makes up right and wrong requests and checks each answer."""
    headers = {"Authorization": f"Bearer {api_key}", "Host": PUBLIC_HOST}
    # That no text holds a null character is said once for all of the API, not for each field.
    config = SchemathesisConfig.from_dict({"generation": {"allow-x00": False}})
    schema = schemathesis.openapi.from_wsgi(
        "/api/v1/openapi.json?format=json", wsgi, headers=headers, config=config
    ).exclude(path=IN_FRONT)
    wrong: list[str] = []
    n_operations = 0
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # a document that is not valid fails here
        n_operations += 1

        @PROBE
        @given(case=operation.as_strategy(mode))
        def probe(case: schemathesis.Case) -> None:
            with transaction.atomic():
                case.call_and_validate(headers=headers)
                transaction.set_rollback(True)

        try:
            probe()
        except (AssertionError, BaseExceptionGroup) as failure:
            wrong.append(f"{operation.label}: {str(failure)[:1500]}")
        except Unsatisfiable:
            pass  # nothing can be wrong about a request without parameters
    assert n_operations > 5
    assert wrong == []
