"""Webhooks over the API: who may, what is told once, what is refused and why."""

import pytest
from django.test import Client

from tenants import jobs
from tenants.models import Delivery, Job, WebhookEndpoint
from tests.conftest import PUBLIC_HOST
from tests.tenants.receiver import listening


@pytest.fixture(autouse=True)
def hints(monkeypatch):
    monkeypatch.setattr(jobs, "_send", lambda *_args: None)


@pytest.fixture
def api(api_key):
    """Return `api(method, path, body)`: a call with a key of acme."""
    client = Client(headers={"Authorization": f"Bearer {api_key}"})

    def call(method, path, body=None):
        return client.generic(
            method, f"/api/v1/webhooks{path}", "" if body is None else body, secure=True,
            content_type="application/json", HTTP_HOST=PUBLIC_HOST,
        )  # fmt: skip

    return call


@pytest.fixture
def receiver(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with listening() as server:
        yield server


def made(api, url="https://hooks.example/takt"):
    return api("POST", "", f'{{"url": "{url}", "topics": ["alarms"]}}')


def test_the_secret_is_in_the_answer_that_makes_it_and_never_again(api):
    answer = made(api)

    assert answer.status_code == 201
    secret = answer.json()["secret"]
    assert secret.startswith("whsec_")
    for path in ("", f"/{answer.json()['id']}", f"/{answer.json()['id']}/deliveries"):
        seen = api("GET", path)
        assert seen.status_code == 200
        assert secret not in seen.content.decode()
    again = api("POST", f"/{answer.json()['id']}/secret").json()["secret"]
    assert again != secret


def test_a_ping_goes_out_and_can_be_followed_and_repeated(api, receiver):
    endpoint = made(api, receiver.url).json()
    receiver.status, receiver.answer = 500, b"out of order"
    sent = api("POST", f"/{endpoint['id']}/ping")
    assert (sent.status_code, sent.json()["state"]) == (202, "planned")
    jobs.run(str(Job.objects.get(task="tenants.deliver").pk))

    (seen,) = api("GET", f"/{endpoint['id']}/deliveries").json()["results"]
    assert seen["id"] == receiver.requests[0].headers["webhook-id"] == sent.json()["id"]
    assert (seen["state"], seen["response_status"]) == ("failed", 500)
    assert (seen["last_error"], seen["response_text"]) == ("It answered 500.", "out of order")

    replay = f"/{endpoint['id']}/deliveries/{seen['id']}/replay"
    assert api("POST", replay).status_code == 202
    assert api("POST", replay).json()["code"] == "not_failed"


def test_an_endpoint_is_changed_switched_off_and_removed(api):
    endpoint = made(api).json()
    path = f"/{endpoint['id']}"

    changed = api("PATCH", path, '{"enabled": false, "topics": []}').json()

    assert (changed["enabled"], changed["topics"]) == (False, [])
    assert api("POST", f"{path}/ping").json()["code"] == "endpoint_off"
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/", "https://localhost/", "https://10.0.0.1/", "https://[::1]/",
     "https://hooks.example:22/", "https://a:b@hooks.example/"],
)  # fmt: skip
def test_an_address_that_a_webhook_may_not_have_is_refused_with_the_reason(api, url):
    answer = made(api, url)

    assert (answer.status_code, answer.json()["code"]) == (409, "address_refused")
    assert len(answer.json()["message"]) > 20
    assert not WebhookEndpoint.objects.exists()


@pytest.mark.parametrize(
    "body",
    ["{}", '{"url": ""}', '{"url": "hooks.example"}', '{"url": 5}', "[]", "{",
     '{"url": "https://hooks.example/", "topics": "alarms"}',
     '{"url": "https://hooks.example/", "topics": ["A b"]}'],
)  # fmt: skip
def test_a_malformed_request_is_refused_by_name(api, body):
    answer = api("POST", "", body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"


def test_a_device_s_delivery_is_not_found_under_another_endpoint(api, receiver):
    first, second = made(api, receiver.url).json(), made(api, receiver.url).json()
    api("POST", f"/{first['id']}/ping")
    delivery = Delivery.objects.get()

    answer = api("POST", f"/{second['id']}/deliveries/{delivery.pk}/replay")

    assert answer.status_code == 404


@pytest.mark.parametrize(("role", "status"), [("owner", 200), ("admin", 200), ("engineer", 403)])
def test_a_session_may_what_its_role_may(portal, role, status):
    assert portal(role).get("/api/v1/webhooks").status_code == status
