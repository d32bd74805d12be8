"""Takt's staff and an owner, each in a browser: asked, let in, shown the door."""

import os
import re
import subprocess
import sys
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ROOT, SLOW_MS
from tests.browser.test_new_owner import PASSWORD, create_factory, sign_up

pytestmark = pytest.mark.browser


def make_staff(installation: dict[str, str], email: str) -> None:
    command = [sys.executable, "manage.py", "make_staff", email]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **installation}, check=True)


def test_staff_are_let_in_and_shown_the_door(page: Page, chromium, installation):
    address, name = installation["TAKT_BASE_URL"], f"Test {uuid.uuid4().hex[:6]}"
    sign_up(page, address, email=f"owner-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, name)
    portal = re.match(r"https://[^/]+", page.url)
    assert portal
    context = chromium.new_context(ignore_https_errors=True)
    context.set_default_timeout(SLOW_MS)
    desk, complaints = context.new_page(), []
    desk.on(
        "console",
        lambda m: complaints.append(f"{m.text} {m.location}") if m.type == "error" else None,
    )
    email = f"staff-{uuid.uuid4().hex[:8]}@example.com"
    sign_up(desk, address, email=email)
    make_staff(installation, email)

    desk.goto(f"{address}/staff/tenants/factory/?q={name.replace(' ', '+')}")
    desk.get_by_role("link", name=name).click()
    desk.get_by_role("link", name="Ask for support access").click()
    desk.get_by_label("Reason").fill("Its mill is silent")
    desk.get_by_role("button", name="Ask").click()
    # Signed in by the link of a letter: the password was not typed in this session yet.
    desk.get_by_label("Password").fill(PASSWORD)
    desk.get_by_role("button", name="Go on").click()
    expect(desk.get_by_text(f"The owners and admins of {name} are asked.")).to_be_visible()

    page.goto(f"{portal[0]}/settings/support/")
    expect(page.get_by_text("Its mill is silent")).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("button", name="End it now")).to_be_visible()

    desk.reload()
    desk.get_by_role("link", name="Enter").first.click()
    expect(desk.get_by_text(f"Support access to {name} until")).to_be_visible()
    expect(desk.locator("[data-light]")).to_have_count(0)

    page.get_by_role("button", name="End it now").click()
    assert complaints == []  # the 404 that follows is one, and meant to be
    answer = desk.goto(f"{portal[0]}/machines/")
    assert answer
    assert answer.status == 404
    page.goto(f"{portal[0]}/audit/")
    expect(page.get_by_text("Support looked at").first).to_be_visible()
    context.close()


def test_the_staff_pages_work_under_the_content_policy(page: Page, installation):
    """A refused script or style is an error on the console, and fails the test."""
    address, email = installation["TAKT_BASE_URL"], f"staff-{uuid.uuid4().hex[:8]}@example.com"
    sign_up(page, address, email=email)
    make_staff(installation, email)

    page.goto(f"{address}/staff/")
    expect(page.get_by_role("heading", name="Records")).to_be_visible()
    names = page.locator("th[scope=row] a").all_text_contents()
    assert len(names) > 15
    for name in names:
        page.goto(f"{address}/staff/")
        page.get_by_role("link", name=name, exact=True).first.click()
        expect(page.locator("#changelist")).to_be_visible()
        row = page.locator("#result_list tbody th a").first
        if row.count():
            row.click()
            expect(page.locator("#content-main form").last).to_be_visible()
