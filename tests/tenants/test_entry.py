"""From the public host to a factory's host, and never to another's."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tenants import entry
from tenants.models import AuditEntry, Membership, User
from tests.conftest import PUBLIC_HOST, host_of


@pytest.fixture
def public(acme):
    client = Client()
    client.force_login(User.objects.get(email="viewer@acme.example"))
    return client


def follow_ticket(public, factory):
    answer = public.get(f"/enter/{factory.schema_name}/", secure=True, HTTP_HOST=PUBLIC_HOST)
    assert answer.status_code == 302
    return answer.headers["Location"]


def enter(address, factory, client=None):
    client = client or Client()
    path = address.split(PUBLIC_HOST, 1)[-1].split(host_of(factory), 1)[-1]
    return client, client.get(path, secure=True, HTTP_HOST=host_of(factory))


def test_a_ticket_signs_a_member_in_on_the_factory_s_host(public, acme):
    client, answer = enter(follow_ticket(public, acme), acme)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert client.cookies["__Host-takt"]["domain"] == ""
    assert client.cookies["__Host-takt"]["secure"]
    assert AuditEntry.objects.filter(factory=acme, action="sign_in").exists()


def test_a_ticket_works_once(public, acme):
    address = follow_ticket(public, acme)
    enter(address, acme)

    client, answer = enter(address, acme)

    assert "__Host-takt" not in client.cookies
    assert answer.headers["Location"] == "https://localhost:8443/enter/acme/"


def test_a_ticket_is_of_no_use_at_another_factory(public, acme, globex):
    path = follow_ticket(public, acme).split(host_of(acme))[1]

    client = Client()
    client.get(path, secure=True, HTTP_HOST=host_of(globex))

    assert "__Host-takt" not in client.cookies


def test_an_old_ticket_is_refused(acme):
    user = User.objects.get(email="viewer@acme.example")
    past = timezone.now() - timedelta(minutes=5)
    address = entry.issue_ticket(user=user, factory=acme, session_key="x", next_path="/", at=past)

    with pytest.raises(entry.TicketRefused):
        entry.redeem_ticket(token=address.split("=")[1], factory=acme, at=timezone.now())


def test_a_stranger_gets_no_ticket(public, globex):
    answer = public.get("/enter/globex/", secure=True, HTTP_HOST=PUBLIC_HOST)

    assert answer.status_code == 404


@pytest.mark.parametrize("next_path", ["https://evil.example/", "//evil.example", "/\\evil", "x"])
def test_a_ticket_leads_nowhere_else(next_path):
    assert entry.safe_path(next_path) == "/"


def test_signing_out_on_the_public_host_ends_the_portal_too(public, acme):
    client, _ = enter(follow_ticket(public, acme), acme)
    public.logout()

    answer = client.get("/api/v1/openapi.json", secure=True, HTTP_HOST=host_of(acme))

    assert answer.status_code == 404


def test_a_session_of_one_factory_is_nothing_at_another(portal, globex):
    session = portal("owner").client

    answer = session.get("/", secure=True, HTTP_HOST=host_of(globex))

    assert answer.status_code == 404


def test_a_former_member_meets_404_with_the_next_request(portal, acme):
    viewer = portal("viewer")
    Membership.objects.filter(factory=acme, role="viewer").delete()

    assert viewer.get("/").status_code == 404


def test_who_is_not_signed_in_is_sent_to_the_public_host(acme):
    answer = Client().get("/machines/?state=down", secure=True, HTTP_HOST=host_of(acme))

    assert answer.headers["Location"] == (
        "https://localhost:8443/enter/acme/?next=%2Fmachines%2F%3Fstate%3Ddown"
    )


@pytest.mark.parametrize(
    "host", ["nobody.localhost:8443", "acme.localhost.evil.example", "evil.example", "acme,globex"]
)
def test_an_unknown_host_is_not_found(acme, host):
    assert Client().get("/", secure=True, HTTP_HOST=host).status_code == 404


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_HOST", "HTTP_X_TENANT", "HTTP_X_SCHEMA"])
def test_no_header_chooses_a_factory(portal, globex, header):
    viewer = portal("viewer", globex)

    answer = viewer.client.get(
        "/api/v1/openapi.json", secure=True, HTTP_HOST="acme.localhost:8443", **{header: "globex"}
    )

    assert answer.status_code == 404
