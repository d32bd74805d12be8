import re

import pytest
from django.core import mail
from django.utils import timezone

from tenants import people
from tenants.models import Membership, User


@pytest.fixture
def owner(acme):
    return Membership.objects.get(factory=acme, role="owner")


def invite(acme, actor, email="new@acme.example", role="engineer"):
    people.invite(factory=acme, email=email, role=role, actor=actor, at=timezone.now())
    found = re.search(r"/invitations/([^/]+)/", str(mail.outbox[-1].body))
    assert found
    return found[1]


def test_the_reader_of_an_invitation_becomes_a_member_once(acme, owner):
    token = invite(acme, owner)
    user = User.objects.create_user("New@acme.example")

    membership = people.accept_invitation(token=token, user=user, at=timezone.now())

    assert membership.role == "engineer"
    with pytest.raises(people.InvitationRefused):
        people.accept_invitation(token=token, user=user, at=timezone.now())


def test_an_invitation_is_for_its_address_alone(acme, owner):
    token = invite(acme, owner)
    thief = User.objects.create_user("thief@example.com")

    with pytest.raises(people.InvitationRefused):
        people.accept_invitation(token=token, user=thief, at=timezone.now())


def test_an_admin_makes_no_owner(acme, owner):
    admin = Membership.objects.get(factory=acme, role="admin")
    viewer = Membership.objects.get(factory=acme, role="viewer")

    with pytest.raises(people.OwnersOnly):
        people.change_role(membership_id=viewer.pk, factory=acme, role="owner", actor=admin)
    with pytest.raises(people.OwnersOnly):
        people.remove_member(membership_id=owner.pk, factory=acme, actor=admin)


def test_the_last_owner_stays(acme, owner):
    with pytest.raises(people.LastOwner):
        people.change_role(membership_id=owner.pk, factory=acme, role="viewer", actor=owner)


def test_a_member_of_another_factory_is_out_of_reach(globex, owner):
    stranger = Membership.objects.get(factory=globex, role="viewer")

    with pytest.raises(Membership.DoesNotExist):
        people.remove_member(membership_id=stranger.pk, factory=owner.factory, actor=owner)
