"""Members, roles, API keys, plan: what the settings pages change."""

import pytest

from billing import selectors as billing_selectors
from tenants import credentials, selectors
from tenants.models import AuditEntry, FactoryLimits, Invitation, Membership


def member(factory, role):
    return Membership.objects.get(factory=factory, role=role)


def test_an_owner_gives_another_role(portal, acme):
    viewer = member(acme, "viewer")

    portal("owner").post(f"/people/{viewer.pk}/role/", {"role": "engineer"})

    viewer.refresh_from_db()
    assert viewer.role == "engineer"


@pytest.mark.parametrize("role", ["engineer", "operator", "viewer"])
def test_others_give_no_roles(portal, acme, role):
    viewer = member(acme, "viewer")

    answer = portal(role).post(f"/people/{viewer.pk}/role/", {"role": "owner"})

    viewer.refresh_from_db()
    assert answer.status_code == 403
    assert viewer.role == "viewer"


def test_an_admin_makes_no_owner(portal, acme):
    viewer = member(acme, "viewer")

    answer = portal("admin").post(f"/people/{viewer.pk}/role/", {"role": "owner"}, follow=True)

    viewer.refresh_from_db()
    assert viewer.role == "viewer"
    assert "Only an owner makes" in answer.content.decode()


def test_the_last_owner_stays(portal, acme):
    owner = member(acme, "owner")

    answer = portal("owner").post(f"/people/{owner.pk}/remove/", follow=True)

    assert Membership.objects.filter(pk=owner.pk).exists()
    assert "at least one owner" in answer.content.decode()


def test_an_invitation_goes_out_as_a_letter(portal, acme, mailoutbox):
    portal("admin").post("/people/", {"email": "new@example.com", "role": "engineer"})

    assert Invitation.objects.get(factory=acme).role == "engineer"
    assert mailoutbox[-1].to == ["new@example.com"]


def test_a_full_plan_is_said_on_the_page_and_nobody_is_invited(portal, acme, mailoutbox):
    FactoryLimits.objects.filter(factory=acme).update(max_people=5)

    answer = portal("owner").post("/people/", {"email": "new@acme.example", "role": "viewer"})

    assert answer.status_code == 422
    assert "Your plan covers 5 people" in answer.content.decode()
    assert not mailoutbox
    assert not Invitation.objects.filter(factory=acme).exists()


def test_who_is_there_already_takes_no_further_place(portal, acme, mailoutbox):
    FactoryLimits.objects.filter(factory=acme).update(max_people=6)

    for _ in range(2):
        portal("owner").post("/people/", {"email": "New@acme.example", "role": "viewer"})
    answer = portal("owner").post("/people/", {"email": "next@acme.example", "role": "viewer"})

    assert len(mailoutbox) == 2
    assert answer.status_code == 422


def test_an_engineer_sees_the_people_but_invites_none(portal, acme):
    engineer = portal("engineer")

    assert "Invite someone" not in engineer.get("/people/").content.decode()
    assert engineer.post("/people/", {"email": "x@example.com", "role": "owner"}).status_code == 404
    assert not Invitation.objects.exists()


def test_an_api_key_is_shown_once_and_ended_for_good(portal, acme):
    owner = portal("owner")
    page = owner.post("/settings/api-keys/", {"name": "Reporting"}).content.decode()
    token = page.split('id="token">')[1].split("<")[0]
    key = selectors.api_keys(acme).get(name="Reporting")
    assert credentials.find_api_key(token) == key
    assert token not in owner.get("/settings/").content.decode()

    owner.post(f"/settings/api-keys/{key.pk}/")

    assert credentials.find_api_key(token) is None


def test_a_plan_is_chosen_on_the_page(portal, acme):
    portal("owner").post("/usage/plan/", {"plan": "workshop"})

    subscription = billing_selectors.subscription_of(acme)
    assert subscription is not None
    assert subscription.plan == "workshop"
    assert "Workshop plan" in portal("owner").get("/usage/").content.decode()


def test_a_plan_that_does_not_exist_is_not_found(portal, acme):
    assert portal("owner").post("/usage/plan/", {"plan": "emperor"}).status_code == 404


def test_an_engineer_chooses_no_plan(portal, acme):
    assert portal("engineer").post("/usage/plan/", {"plan": "workshop"}).status_code == 403
    assert billing_selectors.subscription_of(acme) is None


def test_an_admin_decides_how_devices_send(portal, acme):
    admin = portal("admin")
    page = admin.get("/settings/").content.decode()
    assert 'name="token_in_path_allowed" checked' in page

    admin.post("/settings/ingest/", {"device_readings_per_s": "50"})

    limits = FactoryLimits.objects.get(factory=acme)
    assert (limits.token_in_path_allowed, limits.device_readings_per_s) == (False, 50)
    entry = AuditEntry.objects.filter(factory=acme, action="ingest_rules.changed").get()
    assert entry.detail == {"token_in_path_allowed": False, "device_readings_per_s": 50}
    assert 'name="token_in_path_allowed" checked' not in admin.get("/settings/").content.decode()


@pytest.mark.parametrize("typed", ["0", "-1", "many", "1.5", "9" * 5000, "½"])
def test_a_rate_that_is_none_changes_nothing(portal, acme, typed):
    portal().post("/settings/ingest/", {"device_readings_per_s": typed})

    assert FactoryLimits.objects.get(factory=acme).device_readings_per_s is None
    assert FactoryLimits.objects.get(factory=acme).token_in_path_allowed


@pytest.mark.parametrize("role", ["engineer", "operator", "viewer"])
def test_who_may_not_manage_the_factory_sees_no_rules_and_changes_none(portal, acme, role):
    assert "How devices send" not in portal(role).get("/settings/").content.decode()
    assert portal(role).post("/settings/ingest/", {}).status_code == 403
    assert FactoryLimits.objects.get(factory=acme).token_in_path_allowed
