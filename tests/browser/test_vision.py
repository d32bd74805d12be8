"""From twenty pictures of good parts to a limit by cost, a mended miss and an empty queue."""

import os
import re
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.conftest import ROOT
from tests.browser.test_new_owner import create_factory, sign_up
from tests.mlops.pictures.parts import part, png

pytestmark = pytest.mark.browser
LEARNING_MS = 300_000
JUDGING_MS = 120_000

FOUND = """
from django.utils import timezone
from production import services
from tenants.context import factory_context

with factory_context("{schema}"):
    services.save_defect_type(code="scratch", name="Scratch")
    services.save_defect_type(code="pit", name="Pit")
    product = services.make_product(item_no="F-100", name="Flange")
    looks = services.CharacteristicFields(name="Looks", kind="attribute")
    fields = services.InspectionPlanFields(name="Faces", characteristics=[looks])
    services.make_inspection_plan(product_id=product.pk, fields=fields, at=timezone.now(), by=None)
"""


def found_plan(page: Page, installation: dict[str, str]) -> None:
    """Make a product with an inspection plan and two kinds of defects."""
    schema = str(urlsplit(page.url).hostname).split(".")[0].replace("-", "_")
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c", FOUND.format(schema=schema)],
        cwd=ROOT, env={**os.environ, **installation}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def drawn(name: str, seed: int, spoilt: str = "") -> FilePayload:
    content = png(part(seed, spoilt=spoilt))
    return {"name": f"{name}-{seed}.png", "mimeType": "image/png", "buffer": content}


def send(page: Page, files: list[FilePayload], they_show: str) -> None:
    page.locator("#pictures").set_input_files(files)
    page.get_by_role("radio", name=they_show).check()
    page.get_by_role("button", name="Send").click()


def tile(page: Page, name: str) -> Locator:
    return page.locator(".pic").filter(has=page.get_by_role("img", name=f"{name}.png"))


def teach(page: Page) -> None:
    """Send good and defective parts and something that is no picture, and have it learned."""
    page.get_by_role("link", name="Pictures", exact=True).click()
    page.get_by_role("link", name="Teach it").click()
    broken: FilePayload = {"name": "notes.png", "mimeType": "image/png", "buffer": b"no picture"}
    send(page, [*(drawn("good", seed) for seed in range(20)), broken], "Good parts")
    expect(page.get_by_text("20 of 21 taken.")).to_be_visible(timeout=JUDGING_MS)
    expect(page.locator("[data-refused]")).to_contain_text("notes.png")
    page.get_by_role("link", name="Show them").click()
    send(page, [drawn("bad", seed, "scratch") for seed in range(40, 44)], "Defective parts")
    expect(page.locator(".pic")).to_have_count(24)
    page.get_by_role("button", name="Learn").click()
    expect(page.get_by_text("In service: version 1")).to_be_visible(timeout=LEARNING_MS)


def see_a_defect(page: Page) -> None:
    """Send a scratched part and find the scratch marked."""
    send(page, [drawn("line", 60, "scratch")], "Nobody has looked")
    expect(tile(page, "line-60")).to_contain_text("Defective", timeout=JUDGING_MS)
    tile(page, "line-60").click()
    expect(page.get_by_text(re.compile(r"times the limit, \d places? marked"))).to_be_visible()
    assert page.locator(".of-model .mark").count() >= 1
    expect(page.locator("image.heat-veil")).to_have_count(1)
    page.keyboard.press("h")
    expect(page.locator("image.heat-veil")).to_be_hidden()


def set_costs(page: Page) -> None:
    """Say what mistakes cost and watch the limit move before it is saved."""
    page.get_by_role("link", name="Costs and limit").click()
    limit = page.locator("[data-limit]")
    page.get_by_label("A defective part that leaves").fill("5000")
    page.get_by_label("A good part that is rejected").fill("1")
    expect(page.get_by_text("It costs least")).to_be_visible()
    strict = float(limit.inner_text())
    page.get_by_label("A defective part that leaves").fill("1")
    page.get_by_label("A good part that is rejected").fill("500")
    expect(limit).not_to_have_text(f"{strict:g}")
    expect(page.get_by_text("Not saved yet")).to_be_visible()
    assert float(limit.inner_text()) > strict
    page.get_by_label("A defective part that leaves").fill("400")
    page.get_by_label("A good part that is rejected").fill("12")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Pictures are judged by it from now on.")).to_be_visible()


def miss(page: Page) -> None:
    """Set a limit by hand that lets a pit pass; see it pass."""
    page.get_by_role("link", name=re.compile("^Pictures$")).last.click()
    send(page, [drawn("pit", 70, "hole")], "Nobody has looked")
    expect(tile(page, "pit-70")).to_contain_text("Defective", timeout=JUDGING_MS)
    tile(page, "pit-70").click()
    told = page.get_by_text(re.compile(r"times the limit")).first.inner_text()
    times = float(told.split()[0])
    page.get_by_role("link", name="Costs and limit").click()
    limit = float(page.locator("[data-limit]").inner_text())
    page.get_by_role("radio", name="Set by hand").check()
    page.get_by_label("Limit by hand").fill(f"{1.3 * times * limit:.4f}")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It is set by hand.")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Pictures$")).last.click()
    send(page, [drawn("pit", 71, "hole")], "Nobody has looked")
    expect(tile(page, "pit-71")).to_contain_text("Good", timeout=JUDGING_MS)


def fix_the_miss(page: Page) -> None:
    """Mark the pit with the mouse, teach it, and see the regression set hold."""
    tile(page, "pit-71").click()
    page.get_by_role("radio", name="Pit").check()
    page.get_by_role("button", name="Box").click()
    field = page.locator("[data-field]")
    field.scroll_into_view_if_needed()
    box = field.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.40 * box["width"], box["y"] + 0.62 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.72 * box["width"], box["y"] + 0.86 * box["height"], steps=6)
    page.mouse.up()
    expect(page.get_by_text(re.compile("1 place marked. Pit at"))).to_be_visible()
    page.get_by_role("button", name="This defect was missed").click()
    expect(page.get_by_text("a new version is being learned")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Regression set")).click()
    expect(page.get_by_text("Nothing broke.")).to_be_visible(timeout=LEARNING_MS)
    expect(page.get_by_text("Mended by version 2")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Version 2: (\d+) of \1 right"))).to_be_visible()


def work_through_the_queue(page: Page) -> None:
    """Look at everything that waits with the keyboard alone: later, a box, a defect, good."""
    page.get_by_role("link", name=re.compile("^To look at")).click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("2 pictures to look at")
    first = page.locator("[data-field] image").first.get_attribute("href")
    page.keyboard.press("ArrowRight")
    page.wait_for_url("**/queue/?after=*")  # and loaded: its keys work
    expect(page.locator(f"[data-field] image[href='{first}']")).to_have_count(0)
    page.keyboard.press("2")
    page.keyboard.press("b")
    for key in ("ArrowRight", "ArrowDown", "Shift+ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.get_by_text("1 place marked.")).to_be_visible()
    before = page.locator("[data-said]").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Control+z")
    expect(page.locator("[data-said]")).to_have_text(before)
    page.keyboard.press("Enter")
    expect(heading).to_contain_text("1 picture to look at")
    expect(page.get_by_role("link", name="Begin again")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/queue/")
    expect(page.locator(f"[data-field] image[href='{first}']")).to_have_count(1)
    page.keyboard.press("g")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing to look at").first).to_be_visible()


def begin(page: Page, installation: dict[str, str]) -> None:
    name = uuid.uuid4().hex[:8]
    sign_up(page, installation["TAKT_BASE_URL"], email=f"vision-{name}@example.com")
    create_factory(page, f"Vision {name}")
    found_plan(page, installation)
    page.goto(f"https://{urlsplit(page.url).netloc}/quality/")


def test_a_product_is_taught_judged_by_cost_mended_and_looked_at(
    page: Page, installation: dict[str, str]
):
    begin(page, installation)
    teach(page)
    see_a_defect(page)
    set_costs(page)
    miss(page)
    fix_the_miss(page)
    work_through_the_queue(page)
