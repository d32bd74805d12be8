"""Every page of a factory: who sees it, what it may load, how often it asks the database."""

import re

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.middleware import POLICY
from tenants import audit

INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*application/json)|<style\b|\sstyle=|\son[a-z]+=\""
)
ROLES = ("owner", "admin", "engineer", "operator", "viewer")
# Page -> the roles that may not see it.
PAGES = {
    "/": (),
    "/machines/": (),
    "/maintenance/": (),
    "/maintenance/orders/new/": ("viewer",),
    "/maintenance/plans/": (),
    "/maintenance/plans/new/": ("operator", "viewer"),
    "/maintenance/parts/": (),
    "/maintenance/parts/new/": ("operator", "viewer"),
    "/explore/": (),
    "/explore/exports/": ("operator", "viewer"),
    "/devices/": (),
    "/devices/codes/": ("operator", "viewer"),
    "/devices/import/": ("operator", "viewer"),
    "/settings/": (),
    "/settings/leaving/": ("engineer", "operator", "viewer"),
    "/start/": ("operator", "viewer"),
    "/notifications/": (),
    "/notifications/all/": (),
    "/notifications/preferences/": (),
    "/settings/webhooks/": ("engineer", "operator", "viewer"),
    "/people/": ("operator", "viewer"),
    "/usage/": ("engineer", "operator", "viewer"),
    "/invoices/": ("engineer", "operator", "viewer"),
    "/audit/": ("engineer", "operator", "viewer"),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_open_to_the_roles_that_may_see_it(portal, path, role):
    answer = portal(role).get(path)

    assert answer.status_code == (403 if role in PAGES[path] else 200)


@pytest.mark.parametrize("path", PAGES)
def test_who_may_not_see_a_page_is_told_who_may(portal, path):
    answer = portal("viewer").get(path)

    if answer.status_code == 403:
        assert "owner" in answer.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_nothing_but_our_own_files(portal, path):
    answer = portal().get(path)

    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "'unsafe-inline'" not in POLICY
    assert not INLINE.search(answer.content.decode())


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_kept_by_no_cache(portal, path):
    assert "no-store" in portal().get(path).headers["Cache-Control"]


@pytest.mark.parametrize("path", PAGES)
def test_navigation_leads_nowhere_that_the_role_may_not_go(portal, path):
    viewer = portal("viewer")
    answer = viewer.get(path)
    if answer.status_code != 200:
        return

    links = re.findall(r'<a href="(/[^"#?]*)"', answer.content.decode().split("<main")[0])

    assert links
    assert {viewer.get(link).status_code for link in links} == {200}


@pytest.mark.parametrize("path", ["/", "/machines/", "/devices/", "/people/", "/audit/"])
def test_the_number_of_queries_does_not_grow_with_the_rows(portal, in_acme, path):
    owner = portal()
    owner.get(path)
    with CaptureQueriesContext(
        connection,
    ) as few:
        owner.get(path)
    for n in range(5):
        audit.record(action="test", actor=None, target=str(n), factory=in_acme)

    with CaptureQueriesContext(connection) as more:
        owner.get(path)

    assert len(more) <= len(few)


def test_an_empty_factory_says_what_the_page_is_for(portal):
    page = portal().get("/").content.decode()

    assert "Nothing is connected yet." in page
    assert "Connect your first device" in page


def test_a_viewer_of_an_empty_factory_learns_who_can_connect(portal):
    assert "An engineer, admin or owner" in portal("viewer").get("/").content.decode()


def test_an_unknown_address_answers_with_a_page(portal):
    answer = portal().get("/nothing/here/")

    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_the_reader_s_theme_is_in_the_page_before_any_script_runs(portal):
    owner = portal()
    owner.client.cookies["takt_theme"] = "dark"

    assert 'data-bs-theme="dark"' in owner.get("/").content.decode()


def test_a_made_up_theme_is_not_printed(portal):
    owner = portal()
    owner.client.cookies["takt_theme"] = 'dark" onload="x'

    assert "onload" not in owner.get("/").content.decode()


def test_htmx_gets_the_part_alone(portal):
    part = portal().get("/", headers={"HX-Request": "true"}).content.decode()

    assert "<html" not in part
    assert 'id="now"' in part


def test_the_switcher_leads_to_the_public_host(portal):
    assert f'href="{settings.BASE_URL}/factories/"' in portal().get("/").content.decode()
