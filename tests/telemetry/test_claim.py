"""A gateway with a code becomes a device, once; who guesses learns nothing."""

import pytest
from django.test import Client

from telemetry.models import Device
from tenants import claims, credentials
from tenants.context import factory_context
from tenants.models import AuditEntry, ClaimCode, Credential
from tests.conftest import PUBLIC_HOST, host_of


def claim(code, *, name="Gateway 1", host=PUBLIC_HOST, address="192.0.2.1", **more):
    return Client().post(
        "/api/v1/claim",
        {"code": code, "name": name, **more},
        content_type="application/json",
        secure=True,
        HTTP_HOST=host,
        REMOTE_ADDR=address,
    )


@pytest.fixture
def code(api):
    return api("post", "claim-codes", {"group": "Hall 2"}).json()["code"]


def test_a_code_makes_a_device_with_a_token_and_says_where_it_came_from(acme, code):
    answer = claim(code, hardware_id="b8:27:eb:01")

    assert answer.status_code == 201
    token = answer.json()["token"]
    assert Credential.objects.get(digest=credentials.digest(token)).factory == acme
    with factory_context(acme):
        device = Device.objects.get(pk=answer.json()["device_id"])
    assert (device.name, device.group, device.origin) == ("Gateway 1", "Hall 2", "claim")
    assert (device.hardware_id, device.claim_hint) == ("b8:27:eb:01", code[:3])
    entry = AuditEntry.objects.filter(factory=acme, action="device.created").latest("id")
    assert entry.detail["hardware_id"] == "b8:27:eb:01"


def test_a_code_works_once(code):
    assert claim(code).status_code == 201
    assert claim(code, name="Gateway 2").status_code == 404


def test_every_code_that_is_no_good_gets_the_same_answer(acme, code):
    unknown = "K7Q-P3M-XA" + claims.check_character("K7QP3MXA")
    answers = [claim("nonsense"), claim(unknown), claim(unknown[:-1] + "2")]
    ClaimCode.objects.update(revoked_at="2026-11-17T12:00:00Z")
    answers.append(claim(code))

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_guesser_is_stopped_even_with_the_right_code(code):
    for _ in range(claims.GUESSES_AN_ADDRESS):
        assert claim("nonsense").status_code == 404

    stopped = claim(code)

    assert stopped.status_code == 429
    assert int(stopped.headers["Retry-After"]) > 0
    assert claim(code, address="192.0.2.2").status_code == 201


def test_a_made_up_forwarding_header_gives_no_further_tries(code):
    for n in range(claims.GUESSES_AN_ADDRESS):
        Client(headers={"X-Forwarded-For": f"198.51.100.{n}"}).post(
            "/api/v1/claim",
            {"code": "nonsense", "name": "x"},
            content_type="application/json",
            secure=True,
            HTTP_HOST=PUBLIC_HOST,
            REMOTE_ADDR="192.0.2.1",
        )

    assert claim(code).status_code == 429


def test_tries_in_vain_are_on_record(code):
    claim("nonsense")

    entry = AuditEntry.objects.filter(factory=None, action="claim.refused").latest("id")
    assert (entry.target, entry.detail) == ("192.0.2.1", {})


def test_a_taken_name_uses_nothing_up(api, code):
    api("post", "devices", {"name": "Gateway 1"})

    assert claim(code).json()["code"] == "name_taken"
    assert claim(code, name="Gateway 2").status_code == 201


def test_a_code_leads_into_its_own_factory_only(acme, globex, code):
    device_id = claim(code).json()["device_id"]

    with factory_context(globex):
        assert not Device.objects.filter(name="Gateway 1").exists()
    assert Credential.objects.get(device_id=device_id, factory=acme)


def test_a_factory_s_own_host_is_no_place_to_claim(acme, globex, code):
    assert claim(code, host=host_of(acme)).status_code == 404
    assert claim(code, host=host_of(globex)).status_code == 404
    assert claim(code).status_code == 201


@pytest.mark.parametrize(
    "body", [{"code": ""}, {"name": ""}, {"name": "x" * 121}, {"code": "x" * 41}, {"name": "a\x00"}]
)
def test_a_senseless_claim_names_the_field(db, body):
    answer = claim(**{"code": "K7QP3MXAR", "name": "x", **body})

    assert answer.status_code == 400
    assert set(answer.json()["detail"]) == set(body)


def test_codes_are_listed_without_the_code_and_ended(api, code, other_api_key):
    listed = api("get", "claim-codes").json()["results"]

    assert [(row["hint"], row["n_used"], row["group"]) for row in listed] == [
        (code[:3], 0, "Hall 2")
    ]
    assert code not in str(listed)
    path = f"claim-codes/{listed[0]['id']}"
    assert api("delete", path, key=other_api_key).status_code == 404
    assert api("delete", path).status_code == 204
    assert api("delete", path).status_code == 404
    assert claim(code).status_code == 404


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_who_may_only_look_sees_and_makes_no_codes(portal, role):
    member = portal(role)

    assert member.get("/api/v1/claim-codes").status_code == 403
    made = member.post("/api/v1/claim-codes", {}, content_type="application/json")
    assert made.status_code == 403
