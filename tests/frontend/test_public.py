"""The public host: prices, founding a factory, invitations, the mailbox."""

import re
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from billing import plans
from billing import selectors as billing_selectors
from frontend.formats import money
from tenants import people, selectors, services
from tenants.models import Factory, Invitation, Job, Membership, User
from tests.conftest import PUBLIC_HOST


class Public:
    """A browser on the public host."""

    def __init__(self, email: str = "") -> None:
        self.client = Client()
        if email:
            self.client.force_login(User.objects.get(email=email))

    def get(self, path, **kwargs):
        return self.client.get(path, secure=True, HTTP_HOST=PUBLIC_HOST, **kwargs)

    def post(self, path, data=None, **kwargs):
        return self.client.post(path, data, secure=True, HTTP_HOST=PUBLIC_HOST, **kwargs)


@pytest.fixture
def outsider(acme) -> Public:
    return Public("outsider@example.com")


def test_the_landing_page_names_the_prices_that_billing_charges(db):
    page = Public().get("/").content.decode()

    for plan in plans.ALL:
        assert plan.name in page
        assert money(plan.machine_price, whole=True) in page


def test_the_landing_page_calls_its_example_an_example(db):
    assert "Example, not live" in Public().get("/").content.decode()


@pytest.mark.parametrize("path", ["/", "/accounts/signup/", "/accounts/login/", "/mailbox/"])
def test_public_pages_have_nothing_inline(db, path):
    page = Public().get(path).content.decode()

    assert not re.search(r"<script(?![^>]*\bsrc=)|<style\b|\sstyle=|\son[a-z]+=\"", page)


def test_the_mailbox_exists_only_where_mail_is_kept(db, settings):
    assert Public().get("/mailbox/").status_code == 200
    settings.MAILBOX = False
    assert Public().get("/mailbox/").status_code == 404


@pytest.mark.parametrize("path", ["/factories/", "/factories/new/"])
def test_a_visitor_is_asked_to_sign_in_first(db, path):
    answer = Public().get(path)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/accounts/login/")


FORM = {"name": "Umbrella Works", "time_zone": "Europe/Berlin", "currency": "EUR"}


def test_naming_a_factory_queues_its_making_and_shows_how_far_it_is(outsider):
    answer = outsider.post("/factories/new/", FORM)

    page = outsider.get(answer.headers["Location"]).content.decode()
    assert "Creating Umbrella Works" in page
    assert 'data-stream="/factories/progress/' in page
    assert "every " not in page
    assert Factory.objects.get(name="Umbrella Works").time_zone == "Europe/Berlin"


def test_a_plan_that_was_signed_up_for_begins_with_its_trial(outsider):
    page = outsider.get("/factories/new/?plan=workshop").content.decode()
    outsider.post("/factories/new/", {**FORM, "plan": "workshop"})

    factory = Factory.objects.get(name="Umbrella Works")
    subscription = billing_selectors.subscription_of(factory)
    assert "30 free days of Workshop" in page
    assert subscription is not None
    assert subscription.trial_end is not None
    assert factory.limits.plan == "workshop"


@pytest.mark.parametrize("plan", ["start", "emperor", ""])
def test_what_cannot_be_tried_begins_on_start(outsider, plan):
    outsider.post("/factories/new/", {**FORM, "plan": plan})

    assert billing_selectors.subscription_of(Factory.objects.get(name="Umbrella Works")) is None


def test_the_plan_is_remembered_from_the_sign_up_on(db):
    public = Public()
    landing = public.get("/").content.decode()
    assert "/accounts/signup/?plan=workshop&amp;next=" in landing

    public.post(
        "/accounts/signup/?plan=workshop",
        {"email": "new@example.com", "password1": "a-long-password-7"},
    )

    assert public.client.session["wanted_plan"] == "workshop"
    public.client.force_login(User.objects.get(email="new@example.com"))
    assert "30 free days of Workshop" in public.get("/factories/new/").content.decode()


def test_a_ready_factory_is_handed_over(outsider):
    location = outsider.post("/factories/new/", FORM).headers["Location"]
    Factory.objects.filter(name="Umbrella Works").update(state=Factory.State.ACTIVE)

    page = outsider.get(location).content.decode()

    assert "Umbrella Works is ready" in page
    assert "/enter/umbrella_works/?next=/start/" in page


def test_a_factory_that_could_not_be_made_says_what_to_do(outsider):
    location = outsider.post("/factories/new/", FORM).headers["Location"]
    Job.objects.filter(task=selectors.BUILD).update(state=Job.State.DEAD)

    page = outsider.get(location).content.decode()

    assert "could not be created" in page
    assert "quote the code" in page


def test_a_name_without_letters_is_sent_back_with_what_was_typed(outsider):
    answer = outsider.post("/factories/new/", {**FORM, "name": "!!! ???"})

    assert answer.status_code == 422
    assert "at least three letters or digits" in answer.content.decode()
    assert "!!! ???" in answer.content.decode()


def test_a_stranger_learns_nothing_of_a_founding(outsider):
    location = outsider.post("/factories/new/", FORM).headers["Location"]

    assert Public("owner@globex.example").get(location).status_code == 404
    assert outsider.get(f"/factories/progress/{uuid.uuid4()}/").status_code == 404


def test_one_sees_one_s_own_factories_only(acme, globex):
    page = Public("owner@acme.example").get("/factories/").content.decode()

    assert "Acme Precision" in page
    assert "Globex" not in page


@pytest.fixture
def invited(acme, mailoutbox) -> str:
    """Return the path in the letter that invites the outsider."""
    owner = Membership.objects.get(factory=acme, role="owner")
    people.invite(
        factory=acme, email="outsider@example.com", role="viewer", actor=owner, at=timezone.now()
    )
    found = re.search(r"/invitations/\S+", mailoutbox[-1].body)
    assert found
    return found[0]


def test_an_invitation_makes_its_reader_a_member_once(outsider, acme, invited):
    outsider.get(invited)
    outsider.get(invited)

    assert Membership.objects.filter(factory=acme, user__email="outsider@example.com").count() == 1
    assert Invitation.objects.get(factory=acme).accepted_at is not None


def test_an_invitation_to_another_address_is_refused(globex, acme, invited):
    Public("owner@globex.example").get(invited)

    assert not Membership.objects.filter(factory=acme, user__email="owner@globex.example").exists()


def test_the_address_of_a_factory_comes_from_its_name(db):
    assert services.schema_name_from("Müller & Söhne 2") == "muller_sohne_2"
