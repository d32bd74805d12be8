"""A new owner, through the pages only: from the landing page to the first reading on the screen."""

import re
import subprocess
import time
import uuid

import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser

STREAM = "**/live/stream?*"
PASSWORD = "a-long-enough-password"
# Keeps the server's answer to the chart from it until `handOn` is called.
HOLD_CHART = """
const ask = window.fetch;
window.fetch = async (...what) => {
  const answer = await ask(...what);
  document.body.dataset.answered = "1";
  await new Promise((handOn) => (window.handOn = handOn));
  return answer;
};
"""


def test_a_new_owner_gets_from_the_landing_page_to_a_first_live_reading(
    page: Page, installation, capsys
):
    address, name = installation["TAKT_BASE_URL"], f"Test {uuid.uuid4().hex[:6]}"

    sign_up(page, address, email=f"owner-{uuid.uuid4().hex[:8]}@example.com")
    took_s = create_factory(page, name)
    with capsys.disabled():
        print(f"\n  sign-up to usable factory: {took_s:.1f} s", end="")
    held: list[Route] = []  # the reading comes before the page can hear of it
    page.route(STREAM, lambda route: held.append(route))
    command = connect(page, "Mill 1")
    expect(page.get_by_role("heading", name="Waiting for the first reading")).to_be_visible()

    answer = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    for route in held:
        route.continue_()
    page.unroute(STREAM)

    assert '"stored":1' in answer.stdout, answer.stdout + answer.stderr
    expect(page.get_by_role("heading", name="Mill 1 is talking")).to_be_visible()
    expect(page.get_by_text("1 reading received, 1 stored, 0 refused.")).to_be_visible()
    expect(page.get_by_label("Name of spindle_load_pct")).to_have_value("Spindle load")

    page.get_by_role("button", name="Keep these names").click()
    expect(page.locator(".tile", has_text="Mill 1")).to_contain_text("Running")
    load = open_machine(page, "Mill 1")
    expect(load).to_have_text("58.2")
    subprocess.run(["/bin/sh", "-c", command.replace("58.2", "61.5")], check=True)
    expect(load).to_have_text("61.5")  # without a reload: it came over the stream
    expect(page.locator("[data-light]")).to_contain_text(re.compile(r"Live, \d+ s ago"))
    page.evaluate(
        "document.addEventListener('takt:readings', () => (document.body.dataset.heard = 'late'))"
    )
    late = command.replace("58.2", "12.3").replace("{", '{"ts": "2026-01-01T00:00:00Z", ', 1)
    subprocess.run(["/bin/sh", "-c", late], check=True)
    expect(page.locator("body")).to_have_attribute("data-heard", "late")
    expect(load).to_have_text("61.5")  # what comes late is older than what is shown
    page.add_init_script(HOLD_CHART)
    page.reload()
    expect(page.locator("body")).to_have_attribute("data-answered", "1")
    subprocess.run(["/bin/sh", "-c", command.replace("58.2", "63.5")], check=True)
    expect(load).to_have_text("63.5")
    page.evaluate("window.handOn()")
    expect(page.locator(".ends").first).to_contain_text("63.5")  # though the answer is without it


WIDTHS = (1440, 820, 390)
PAGES = (
    "/",
    "/machines/",
    "/maintenance/",
    "/maintenance/orders/new/",
    "/maintenance/plans/",
    "/maintenance/plans/new/",
    "/maintenance/parts/",
    "/maintenance/parts/new/",
    "/explore/",
    "/explore/exports/",
    "/start/",
    "/devices/",
    "/usage/",
    "/people/",
    "/audit/",
    "/settings/",
)


def test_no_page_scrolls_sideways_at_any_width(page: Page, installation):
    sign_up(page, installation["TAKT_BASE_URL"], email=f"wide-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Test {uuid.uuid4().hex[:6]}")
    portal = re.match(r"https://[^/]+", page.url)
    assert portal

    for path in PAGES:
        page.goto(portal[0] + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            shown = page.evaluate("document.documentElement.scrollWidth")
            assert shown <= width, f"{path} is {shown} px wide in a window of {width} px"


def test_a_lost_stream_is_said_and_what_was_shown_stays(visitor, installation):
    page = visitor.new_page()  # the refused stream is an error on the console, and meant to be
    sign_up(page, installation["TAKT_BASE_URL"], email=f"lost-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Test {uuid.uuid4().hex[:6]}")
    expect(page.locator("[data-light]")).to_contain_text("Live")
    page.route(STREAM, lambda route: route.abort())

    page.reload()

    expect(page.locator("[data-light]")).to_contain_text("Not live since", timeout=15_000)
    expect(page.get_by_text("Machines keep sending; nothing is lost.")).to_be_visible()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    page.unroute(STREAM)
    expect(page.locator("[data-light]")).to_contain_text("Live", timeout=15_000)


def sign_up(page: Page, address: str, *, email: str) -> None:
    page.goto(address)
    page.get_by_role("link", name=re.compile("Start free with")).click()
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create my account").click()
    page.get_by_role("link", name="Open the mailbox").click()
    letter = page.locator(".mail", has_text=email).first
    letter.get_by_role("link").click()
    page.get_by_role("button", name="Yes, it is mine").click()


def create_factory(page: Page, name: str) -> float:
    """Create a factory and return how long it took until its portal answered, in seconds."""
    page.get_by_role("link", name="Create a factory").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Time zone").select_option("Europe/Berlin")
    started = time.monotonic()
    page.get_by_role("button", name="Create the factory").click()
    page.get_by_role("link", name="Connect your first device").click()
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    return time.monotonic() - started


def connect(page: Page, name: str) -> str:
    """Make a device and return the command that the page offers for copying."""
    page.get_by_label("Name of the machine").fill(name)
    page.get_by_label("Kind of machine").fill("Mill")
    page.get_by_role("button", name="Make its key").click()
    expect(page.locator("#token")).to_have_text(re.compile("^takt_dev_"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("[data-copy=command-curl]").click()
    expect(page.locator("[data-copy=command-curl]")).to_contain_text("Copied")
    return str(page.evaluate("navigator.clipboard.readText()"))


def open_machine(page: Page, name: str):
    page.locator(".tile", has_text=name).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
    return page.locator(".stat", has_text="Spindle load").locator("[data-live-value]")
