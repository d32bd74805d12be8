"""WCAG 2.2 AA: axe-core on every page, and the main pages by keyboard alone."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from config import urls_public
from frontend import urls_factory
from tests.browser import axe, keyboard
from tests.browser.conftest import ROOT, SLOW_MS
from tests.browser.portal_pages import Address, addresses, visit

pytestmark = pytest.mark.browser
FOLDER = ROOT / "var" / "browser"

# What a page asks for in its address beyond its object.
QUERIES = {
    "explorer": "?s=<signal_id>",
    "plan-add-on": "?key=fast_answer",
    "plan-preview": "?plan=plant",
    "plan-yearly": "?machines=3",
}
# Addresses that show no page of their own here, and why.
ELSEWHERE = {
    "export-file": "an export that no worker has written leads back to the list",
    "invoice-credit-note": "leads to a file at Stripe",
    "invoice-pdf": "leads to a file at Stripe",
    "payment-done": "where Stripe sends a person back to: it leads on",
    "read-only": "only for a factory that is read-only",
    "suspended": "only for a factory that is suspended",
}
NOT_THERE = {
    "invoice-receipt": "Stripe does not know the invoice that stands here",
    "order-photo": "a file, and the test keeps none",
}
PUBLIC_LEFT_OUT = {
    "account_confirm_email": "needs the key of a letter",
    "account_reset_password_from_key": "needs the key of a letter",
    "factory-progress": "a factory that is being built: see test_new_owner",
    "factory-progress-stream": "a stream of events",
    "invitation": "needs the key of a letter",
    "to-factory": "leads to the portal",
}
PUBLIC_ELSEWHERE = {
    "account_confirm_login_code": "no letter with a code was asked for",
    "account_set_password": "the owner has a password",
    "certificate": "a file",
    "health": "said in a word",
    "stripe-webhook": "for Stripe alone",
}
# The viewer is drf-spectacular's Swagger UI, drawn by its own script; the same document is served
# as openapi.json. The page around it is ours.
SWAGGER = "#swagger-ui"
STAFF = (
    "",
    "tenants/factory/",
    "tenants/factory/<factory_id>/change/",
    "tenants/factory/<factory_id>/ask/",
    "tenants/auditentry/",
    "billing/subscription/",
    "billing/subscription/prices/",
    "billing/ledgerentry/",
    "billing/invoice/",
)


@dataclass(frozen=True)
class Furnished:
    """A factory that has something for every page, and who may see it."""

    address: str
    portal: str
    owner: dict[str, str]
    staff: dict[str, str]
    objects: dict[str, Any]


@pytest.fixture(scope="module")
def furnished(installation: dict[str, str]) -> Furnished:
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.furnish", str(FOLDER)],
        cwd=ROOT, env={**os.environ, **installation}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads((FOLDER / "demo.json").read_text())
    (factory,) = told["factories"]
    return Furnished(
        address=installation["TAKT_BASE_URL"],
        portal=factory["url"],
        owner=factory["users"]["owner"],
        staff=told["staff"],
        objects=json.loads(done.stdout.splitlines()[-1]),
    )


@pytest.fixture(scope="module")
def owner(chromium: Browser, furnished: Furnished) -> Iterator[Page]:
    """The owner, signed in at the factory."""
    with new_context(chromium) as context:
        page = context.new_page()
        sign_in(page, furnished.address, furnished.owner)
        page.locator(".factories a").first.click()
        expect(page.locator("[data-light]")).to_be_visible()
        yield page


def new_context(chromium: Browser) -> BrowserContext:
    context = chromium.new_context(
        ignore_https_errors=True, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
    )
    context.set_default_timeout(SLOW_MS)
    return context


def sign_in(page: Page, address: str, person: dict[str, str]) -> None:
    page.goto(f"{address}/accounts/login/?next=/factories/")
    page.get_by_label("Email").fill(person["email"])
    page.get_by_label("Password").fill(person["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/factories/")


def test_every_page_of_the_portal_keeps_wcag(owner: Page, furnished: Furnished):
    found = [
        Address(each.name, each.path + QUERIES.get(each.name, ""))
        for each in addresses(urls_factory.urlpatterns)
    ]
    visited = visit(owner, found, furnished.objects)

    assert visited.not_there == set(NOT_THERE)
    assert visited.elsewhere == set(ELSEWHERE)
    pages = [*visited.pages.values(), "/nothing/"]
    assert axe.look_at(owner.context, [furnished.portal + path for path in pages]) == []


def test_every_page_of_the_public_host_keeps_wcag(owner: Page, chromium, furnished: Furnished):
    found = [
        each
        for each in addresses(urls_public.urlpatterns)
        if each.name not in PUBLIC_LEFT_OUT and not each.path.startswith("/staff/")
    ]
    with new_context(chromium) as context:
        stranger = context.new_page()
        stranger.goto(furnished.address)
        open_to_all = visit(stranger, found, {})
        pages = [furnished.address + path for path in open_to_all.pages.values()]
        assert axe.look_at(context, pages, left_out=[SWAGGER]) == []

    member = owner.context.new_page()
    member.goto(f"{furnished.address}/factories/")
    open_to_members = visit(member, found, {})
    pages = [
        furnished.address + path
        for name, path in open_to_members.pages.items()
        if name not in open_to_all.pages
    ]
    member.close()
    seen = {*open_to_all.pages, *open_to_members.pages}
    assert {each.name for each in found} - seen == set(PUBLIC_ELSEWHERE)
    assert axe.look_at(owner.context, pages) == []


def test_the_pages_of_the_staff_keep_wcag(chromium, furnished: Furnished):
    with new_context(chromium) as context:
        page = context.new_page()
        sign_in(page, furnished.address, furnished.staff)
        paths = [Address(path, f"/staff/{path}").fill(furnished.objects) for path in STAFF]
        pages = [furnished.address + path for path in paths]
        assert axe.look_at(context, pages) == []


def test_open_menus_keep_wcag(owner: Page, furnished: Furnished):
    owner.goto(f"{furnished.portal}/explore/?s={furnished.objects['signal_id']}")
    said = []
    for menu in owner.locator("details[data-menu]:visible").all():
        menu.locator("summary").click()
        said += axe.violations(owner, root="details[data-menu][open]")
        owner.keyboard.press("Escape")
        owner.set_viewport_size({"width": 1440, "height": 900})

    assert said == []


# -- by keyboard

STARTED = "body[data-link]"  # the page's scripts have run
MAIN_PAGES = {
    "now": "/",
    "machine": "/machines/<machine_id>/",
    "explorer": "/explore/?s=<signal_id>",
    "alarms": "/alarms/",
    "usage": "/usage/",
    "plan": "/usage/plan/",
    "preview": "/usage/plan/preview/?plan=plant",
    "payment": "/usage/payment/",
    "invoices": "/invoices/",
    "invoice": "/invoices/<invoice_id>/",
    "people": "/people/",
    "settings": "/settings/",
}


@pytest.mark.parametrize("name", MAIN_PAGES)
def test_a_page_is_walked_through_with_tab(owner: Page, furnished: Furnished, name: str):
    path = Address(name, MAIN_PAGES[name]).fill(furnished.objects)

    assert keyboard.complaints(owner, furnished.portal + path) == []


@pytest.mark.parametrize("name", ["now", "usage"])
def test_on_a_phone_nothing_lies_over_what_has_focus(owner: Page, furnished: Furnished, name: str):
    owner.set_viewport_size({"width": 390, "height": 700})
    try:
        assert keyboard.complaints(owner, furnished.portal + MAIN_PAGES[name]) == []
    finally:
        owner.set_viewport_size({"width": 1440, "height": 900})


def test_the_first_stop_skips_to_the_content(owner: Page, furnished: Furnished):
    owner.goto(furnished.portal)
    skip = owner.get_by_role("link", name="Skip to the content")

    owner.keyboard.press("Tab")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    owner.keyboard.press("Enter")
    owner.keyboard.press("Tab")

    assert owner.evaluate("document.activeElement.closest('main') !== null")


@pytest.mark.parametrize("width", [1440, 390])
def test_a_menu_opens_and_closes_by_keyboard(owner: Page, furnished: Furnished, width: int):
    owner.set_viewport_size({"width": width, "height": 900})
    owner.goto(f"{furnished.portal}/explore/?s={furnished.objects['signal_id']}")
    menus = owner.locator("details[data-menu]:visible").all()
    assert len(menus) >= 2
    for menu in menus:
        menu.locator("summary").focus()
        owner.keyboard.press("Enter")
        expect(menu).to_have_attribute("open", "")
        owner.keyboard.press("Tab")
        assert menu.evaluate(
            "(one) => one.querySelector('.panel').contains(document.activeElement)"
        )
        owner.keyboard.press("Escape")
        expect(menu).not_to_have_attribute("open", "")
        expect(menu.locator("summary")).to_be_focused()
    owner.set_viewport_size({"width": 1440, "height": 900})


def test_single_characters_are_keys_until_they_are_switched_off(owner: Page, furnished: Furnished):
    """WCAG 2.1.4: who dictates to a computer types what looks like keys."""
    owner.goto(furnished.portal)
    field = owner.get_by_label("Search machines")
    expect(owner.locator(STARTED)).to_be_visible()
    owner.keyboard.press("/")
    expect(field).to_be_focused()

    owner.locator(".topbar .menu summary").click()
    switch = owner.get_by_role("checkbox", name="Single characters are keys")
    switch.uncheck()
    owner.reload()
    expect(owner.locator(STARTED)).to_be_visible()
    owner.keyboard.press("/")

    expect(field).not_to_be_focused()
    owner.locator(".topbar .menu summary").click()
    switch.check()


# -- without scrolling, and on paper


def test_when_readings_came_is_drawn_without_scrolling_and_on_paper(
    owner: Page, furnished: Furnished
):
    owner.goto(f"{furnished.portal}/usage/")
    heat = owner.get_by_role("table").filter(has=owner.get_by_role("columnheader", name="23"))
    full = heat.locator(".shade-5").first
    plain = heat.locator(".shade-0").first
    for media in ("screen", "print"):
        owner.emulate_media(media=media)
        colours = [
            one.evaluate("(td) => getComputedStyle(td).backgroundColor") for one in (full, plain)
        ]
        assert len(set(colours)) == 2
    owner.emulate_media(media="screen")
    assert int(full.inner_text().replace(",", "")) > 0
