"""Takt's staff in a factory's portal: never without consent, never longer, never untraced."""

from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from tenants import audit, staff, support
from tenants.models import (
    AuditEntry,
    Credential,
    Delivery,
    Factory,
    Membership,
    SupportAccess,
    SupportRole,
    User,
)
from tenants.permissions import ALL, PERMISSIONS, SUPPORT_PERMISSIONS
from tests.conftest import PUBLIC_HOST, Portal, host_of, sign_in
from tests.tenants.staff import EMAIL, Desk, desk, staff_person

REASON = "Mill 1 is silent since Monday"


@pytest.fixture
def sam(acme: Any) -> Desk:
    return desk(staff_person())


def owner_of(factory: Factory) -> Membership:
    return Membership.objects.select_related("user").get(factory=factory, role="owner")


def asked(sam: Desk, factory: Factory) -> SupportAccess:
    return support.ask(factory=factory, by=sam.user, reason=REASON, at=timezone.now())


@pytest.fixture
def granted(sam: Desk, acme: Factory) -> SupportAccess:
    return let_in(sam, acme)


def let_in(sam: Desk, factory: Factory, role: str = SupportRole.VIEWER) -> SupportAccess:
    access = asked(sam, factory)
    return support.grant(access=access, by=owner_of(factory), role=role, hours=4, at=timezone.now())


@pytest.fixture
def visitor(sam: Desk, acme: Factory) -> Portal:
    """Sam's browser on acme's host, let in or not."""
    return Portal(sign_in(sam.user, acme), acme)


def actions(factory: Factory) -> list[str]:
    entries = AuditEntry.objects.filter(factory=factory).order_by("id")
    return [e.action for e in entries if e.action.startswith("support.")]


# -- asking and deciding


def test_staff_ask_with_a_reason_and_the_owner_hears_of_it(sam, acme):
    path = f"/staff/tenants/factory/{acme.pk}/ask/"
    assert path in sam.get(f"/staff/tenants/factory/{acme.pk}/change/").content.decode()
    assert sam.get(path).status_code == 200

    sam.post(path, {"reason": REASON})

    access = SupportAccess.objects.get(factory=acme)
    assert (access.asked_by, access.reason, access.granted_at) == (sam.user, REASON, None)
    told = Delivery.objects.filter(factory=acme, notification__topic="support")
    assert set(told.values_list("user__email", "channel")) == {
        (f"{role}@acme.example", channel)
        for role in ("owner", "admin")
        for channel in ("mail", "inbox")
    }


def test_without_a_reason_nothing_is_asked(sam, acme):
    answer = sam.post(f"/staff/tenants/factory/{acme.pk}/ask/", {"reason": " \n"})

    assert answer.status_code == 422
    assert not SupportAccess.objects.exists()


def test_who_is_no_staff_asks_nothing(acme):
    owner = desk(User.objects.get(email="owner@acme.example"))

    answer = owner.post(f"/staff/tenants/factory/{acme.pk}/ask/", {"reason": REASON})

    assert answer.status_code == 404
    with pytest.raises(support.SupportRefused):
        support.ask(factory=acme, by=owner.user, reason=REASON, at=timezone.now())


def test_one_asks_once_at_a_time(sam, acme):
    asked(sam, acme)

    with pytest.raises(support.SupportRefused):
        asked(sam, acme)


@pytest.mark.parametrize("role", ["owner", "admin"])
def test_an_owner_or_admin_lets_them_in(sam, acme, portal, role):
    access = asked(sam, acme)
    assert REASON in portal(role).get("/settings/support/").content.decode()

    portal(role).post(f"/settings/support/{access.pk}/grant/", {"hours": "1"})

    access.refresh_from_db()
    assert access.granted_by == User.objects.get(email=f"{role}@acme.example")
    assert access.role == SupportRole.VIEWER
    assert access.until
    assert access.granted_at
    assert access.until - access.granted_at == timedelta(hours=1)


@pytest.mark.parametrize("role", ["engineer", "operator", "viewer"])
def test_others_decide_nothing(sam, acme, portal, role):
    access = asked(sam, acme)

    for step in ("grant", "decline", "revoke"):
        path = f"/settings/support/{access.pk}/{step}/"
        assert portal(role).post(path, {"hours": "1"}).status_code == 403

    access.refresh_from_db()
    assert access.is_asked


@pytest.mark.parametrize(
    "typed",
    [
        {"hours": "48"},
        {"hours": "0"},
        {"hours": "-1"},
        {"hours": "x"},
        {},
        {"hours": "1", "role": "owner"},
        {"hours": "1", "role": "admin"},
        {"hours": "1", "role": "engineer"},
    ],
)
def test_nothing_longer_and_nothing_higher_is_granted(sam, acme, portal, visitor, typed):
    access = asked(sam, acme)

    portal("owner").post(f"/settings/support/{access.pk}/grant/", typed)

    access.refresh_from_db()
    assert access.granted_at is None
    assert visitor.get("/").status_code == 404


@pytest.mark.parametrize(
    "fields", [{"until": timedelta(hours=25)}, {"role": "owner"}, {"role": ""}]
)
def test_the_database_refuses_them_too(granted, fields):
    if "until" in fields:
        fields = {"until": granted.granted_at + fields["until"]}

    with pytest.raises(IntegrityError), transaction.atomic():
        SupportAccess.objects.filter(pk=granted.pk).update(**fields)


def test_what_was_declined_cannot_be_granted(sam, acme, portal, visitor):
    access = asked(sam, acme)
    portal("owner").post(f"/settings/support/{access.pk}/decline/")

    portal("owner").post(f"/settings/support/{access.pk}/grant/", {"hours": "1"})

    access.refresh_from_db()
    assert (access.ending, access.granted_at) == ("declined", None)
    assert visitor.get("/").status_code == 404


def test_an_owner_elsewhere_decides_nothing_here(sam, acme, globex, portal):
    access = asked(sam, acme)

    path = f"/settings/support/{access.pk}/grant/"
    assert portal("owner", globex).post(path, {"hours": "1"}).status_code == 404
    with pytest.raises(support.SupportRefused):
        support.grant(
            access=access, by=owner_of(globex), role=SupportRole.VIEWER, hours=1, at=timezone.now()
        )


def test_who_asked_hears_of_the_answer(granted, mailoutbox):
    assert mailoutbox[-1].to == [EMAIL]
    assert "You may look into Acme Precision" in mailoutbox[-1].body


# -- being in


def test_without_consent_there_is_nothing(sam, acme, visitor):
    assert sam.get("/enter/acme/").status_code == 404
    assert visitor.get("/").status_code == 404

    asked(sam, acme)

    assert sam.get("/enter/acme/").status_code == 404
    assert visitor.get("/").status_code == 404
    assert visitor.get("/api/v1/devices").status_code == 404


def test_with_consent_the_usual_ticket_lets_them_in_as_themselves(sam, acme, granted):
    assert "/enter/acme/" in sam.get("/staff/tenants/supportaccess/").content.decode()
    address = sam.get("/enter/acme/").headers["Location"]
    browser = Client()
    browser.get(address.split(host_of(acme))[1], secure=True, HTTP_HOST=host_of(acme))

    answer = browser.get("/", secure=True, HTTP_HOST=host_of(acme))

    assert answer.status_code == 200
    assert answer.wsgi_request.user == sam.user
    assert not Membership.objects.filter(user=sam.user).exists()


def test_consent_of_one_factory_opens_no_other(sam, globex, granted):
    elsewhere = Portal(sign_in(sam.user, globex), globex)

    assert sam.get("/enter/globex/").status_code == 404
    assert elsewhere.get("/").status_code == 404


def test_consent_is_for_who_asked_alone(granted, acme):
    other = desk(staff_person("olga@takt.example"))

    assert other.get("/enter/acme/").status_code == 404
    assert Portal(sign_in(other.user, acme), acme).get("/").status_code == 404


@pytest.mark.parametrize("path", ["/", "/machines/", "/settings/", "/nothing-here/", "/usage/"])
def test_a_banner_stands_on_every_page(visitor, granted, path):
    text = visitor.get(path).content.decode()

    assert "Support access to Acme Precision until" in text
    assert 'data-live=""' in text or "data-live" not in text


def test_members_see_no_banner_but_a_line_where_support_is_listed(granted, portal):
    assert "Support access to" not in portal("owner").get("/").content.decode()
    assert (
        "Sam Staff of Takt may look into"
        in portal("engineer").get("/settings/support/").content.decode()
    )


def test_a_visitor_may_what_the_table_says():
    changed = {"telemetry.manage_devices"}
    assert SUPPORT_PERMISSIONS[SupportRole.VIEWER] == PERMISSIONS["viewer"]
    assert SUPPORT_PERMISSIONS[SupportRole.ENGINEER] == PERMISSIONS["engineer"] - changed - {
        "members.view"
    }
    for has in SUPPORT_PERMISSIONS.values():
        assert has < ALL
        assert not {p for p in has if p.startswith(("billing.", "members.", "api_keys."))}


@pytest.mark.parametrize("role", SupportRole.values)
def test_whatever_the_role_no_key_no_person_no_bill(sam, acme, visitor, role):
    let_in(sam, acme, role)
    viewer = Membership.objects.get(factory=acme, role="viewer")
    n_keys = Credential.objects.count()

    for path in ("/usage/", "/invoices/", "/people/", "/audit/", "/settings/support/"):
        assert visitor.get(path).status_code == 403, path
    for path, data in (
        ("/settings/api-keys/", {"name": "Mine"}),
        (f"/people/{viewer.pk}/role/", {"role": "owner"}),
        ("/people/", {"email": EMAIL, "role": "owner"}),
        ("/usage/plan/", {"plan": "workshop"}),
        ("/devices/codes/", {}),
    ):
        assert visitor.post(path, data).status_code in (403, 404), path
    assert visitor.get("/api/v1/usage/").status_code == 403
    assert Credential.objects.count() == n_keys


def test_a_visitor_gets_no_stream_that_would_outlast_consent(visitor, granted):
    assert visitor.get("/live/stream").status_code == 404


# -- the trace


def test_every_page_and_every_write_is_in_the_factory_s_audit_log(sam, acme, visitor):
    lot = str(uuid4())
    let_in(sam, acme, SupportRole.ENGINEER)
    before = AuditEntry.objects.filter(factory=acme).latest("id").pk

    visitor.get(f"/lots/{lot}/?secret=1")
    visitor.post("/lots/new/", {"code": "Body"})
    visitor.get("/api/v1/devices")
    visitor.get("/usage/")

    entries = AuditEntry.objects.filter(factory=acme, pk__gt=before).order_by("id")
    assert [(e.actor_name, e.action, e.target, e.detail) for e in entries] == [
        (EMAIL, "support.viewed", "frontend:lot", {"method": "GET", "lot_id": lot}),
        (EMAIL, "support.changed", "frontend:lot-new", {"method": "POST"}),
        (EMAIL, "support.viewed", entries[2].target, {"method": "GET"}),
        (EMAIL, "support.viewed", "frontend:usage", {"method": "GET"}),
    ]
    assert "device" in entries[2].target
    assert audit.verify(factory=acme) is None


def test_nothing_is_shown_whose_trace_cannot_be_kept(visitor, granted, monkeypatch):
    def fail(**_facts: object) -> None:
        raise RuntimeError("no trace")

    monkeypatch.setattr(audit, "record", fail)

    with pytest.raises(RuntimeError, match="no trace"):
        visitor.get("/machines/")


def test_members_leave_no_such_trace(portal, acme, granted):
    before = actions(acme)

    portal("viewer").get("/machines/")

    assert actions(acme) == before


def test_the_owner_reads_the_whole_story(sam, acme, visitor, portal):
    access = let_in(sam, acme)
    visitor.get("/machines/")
    portal("owner").post(f"/settings/support/{access.pk}/revoke/")

    assert actions(acme) == [
        "support.asked",
        "support.granted",
        "support.viewed",
        "support.ended",
    ]
    text = portal("owner").get("/audit/").content.decode()
    assert "Support looked at" in text
    assert "frontend:machines" in text


# -- the end


def test_the_owner_ends_it_with_the_next_request(visitor, granted, portal):
    assert visitor.get("/").status_code == 200

    portal("owner").post(f"/settings/support/{granted.pk}/revoke/")

    assert visitor.get("/").status_code == 404
    granted.refresh_from_db()
    assert granted.ending == "revoked"


def test_time_ends_it_with_the_next_request(visitor, granted):
    now = timezone.now()
    SupportAccess.objects.filter(pk=granted.pk).update(
        granted_at=now - timedelta(hours=4), until=now - timedelta(seconds=1)
    )

    assert visitor.get("/").status_code == 404


def test_leaving_the_staff_ends_it_with_the_next_request(visitor, granted):
    assert visitor.get("/").status_code == 200

    call_command("make_staff", EMAIL, "--end", stdout=StringIO())

    assert visitor.get("/").status_code == 404


def test_signing_out_on_the_public_host_ends_it_too(sam, acme, granted):
    browser = Client()
    address = sam.get("/enter/acme/").headers["Location"]
    browser.get(address.split(host_of(acme))[1], secure=True, HTTP_HOST=host_of(acme))

    sam.client.logout()

    assert browser.get("/", secure=True, HTTP_HOST=host_of(acme)).status_code == 404


@pytest.mark.parametrize(
    ("how", "ending"), [("time", "time"), ("staff", "left"), ("silence", "unanswered")]
)
def test_the_end_is_written_down_once(sam, acme, how, ending):
    now = timezone.now()
    access = asked(sam, acme) if how == "silence" else let_in(sam, acme)
    if how == "staff":
        staff.set_staff(email=EMAIL, is_staff=False)
    later = now + timedelta(days=8 if how == "silence" else 1 if how == "time" else 0)

    assert support.end_lapsed(at=later) == 1
    assert support.end_lapsed(at=later) == 0

    access.refresh_from_db()
    assert access.ending == ending
    entry = AuditEntry.objects.filter(factory=acme, action="support.ended").get()
    assert (entry.actor_name, entry.detail) == ("Takt", {"how": ending})


def test_one_may_ask_anew_after_the_end(sam, acme, granted):
    support.revoke(access=granted, by=owner_of(acme), at=timezone.now())

    assert asked(sam, acme).is_asked


def test_an_old_request_is_not_granted(sam, acme, visitor):
    access = asked(sam, acme)
    late = timezone.now() + support.ANSWERED_WITHIN + timedelta(minutes=1)

    with pytest.raises(support.SupportRefused):
        support.grant(access=access, by=owner_of(acme), role=SupportRole.VIEWER, hours=1, at=late)
    assert visitor.get("/").status_code == 404


def test_the_public_host_is_no_way_around(sam, granted):
    answer = sam.client.get("/api/v1/devices", secure=True, HTTP_HOST=PUBLIC_HOST)

    assert answer.status_code in (401, 403)
