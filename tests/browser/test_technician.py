"""A technician with a phone: from a report to a verdict, with a network that comes and goes."""

import re
import uuid

import pytest
from playwright.sync_api import FilePayload, Page, ViewportSize, expect

from tests.browser.test_new_owner import connect, create_factory, sign_up
from tests.browser.waiting import until
from tests.production.test_order_work import picture

pytestmark = pytest.mark.browser
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture
def at_machine(page: Page, installation) -> Page:
    """Stand at Mill 1 with the page open that its code leads to."""
    sign_up(page, installation["TAKT_BASE_URL"], email=f"tech-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Test {uuid.uuid4().hex[:6]}")
    connect(page, "Mill 1")
    portal = re.match(r"https://[^/]+", page.url)
    assert portal
    page.set_viewport_size(PHONE)
    page.goto(f"{portal[0]}/m/mill-1/")
    return page


def test_a_repair_is_reported_worked_on_and_judged_in_three_taps(at_machine: Page):
    page = at_machine
    page.get_by_label("What is wrong").fill("Coolant leaks at the pump")
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_role("heading", name="Coolant leaks at the pump")).to_be_visible()

    page.get_by_label("Minutes", exact=True).fill("25")
    page.get_by_role("button", name="Book it").click()
    expect(page.get_by_text("25 min booked")).to_be_visible()
    sent: FilePayload = {"name": "pump.png", "mimeType": "image/png", "buffer": picture("PNG")}
    page.get_by_label("Take or choose one").set_input_files(sent)
    page.get_by_role("button", name="Keep the photo").click()
    expect(page.get_by_text("1 kept")).to_be_visible()
    field = page.locator("svg[data-field]")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box
    page.mouse.move(box["x"] + 20, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 20, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Sign").click()
    expect(page.locator(".signed polyline")).to_have_count(1)

    page.get_by_role("radio", name="Real").check()  # one
    page.get_by_role("radio", name="Leak").check()  # two
    page.get_by_role("button", name="Done").click()  # three
    expect(page.get_by_text("An engineer looks at it next.")).to_be_visible()

    page.get_by_role("link", name="WO-000001").click()
    photo = page.get_by_alt_text("Photo 1 of the work")
    photo.scroll_into_view_if_needed()
    until(page, "document.querySelector('.photos img').naturalWidth > 0")
    expect(page.get_by_role("button", name="It was done well")).to_be_visible()


def test_targets_are_large_and_nothing_scrolls_sideways(at_machine: Page):
    page = at_machine
    page.get_by_label("What is wrong").fill("Noise")
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_role("button", name="Done")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    heights = page.locator(".touch .btn:not(.btn-sm), .touch .form-control, .answers label")
    for box in (heights.nth(n).bounding_box() for n in range(heights.count())):
        assert box is None or box["height"] >= 56, box


def test_without_network_nothing_typed_is_lost_and_it_is_sent_once(visitor, installation):
    page = visitor.new_page()  # what cannot be sent is an error on the console, and meant to be
    sign_up(page, installation["TAKT_BASE_URL"], email=f"off-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Test {uuid.uuid4().hex[:6]}")
    connect(page, "Mill 1")
    portal = re.match(r"https://[^/]+", page.url)
    assert portal
    page.goto(f"{portal[0]}/m/mill-1/")
    page.get_by_label("What is wrong").fill("Belt squeaks")
    page.route("**/maintenance/orders/new/", lambda route: route.abort())
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_text("Not sent: there is no network.")).to_be_visible()

    page.unroute("**/maintenance/orders/new/")
    page.reload()
    expect(page.get_by_label("What is wrong")).to_have_value("Belt squeaks")
    expect(page.get_by_text("This was not sent yet.")).to_be_visible()
    page.get_by_role("button", name="Report it").click()
    expect(page.get_by_role("heading", name="Belt squeaks")).to_be_visible()

    page.goto(f"{portal[0]}/m/mill-1/")
    expect(page.get_by_label("What is wrong")).to_have_value("")
    expect(page.locator(".orders .wo")).to_have_count(1)
