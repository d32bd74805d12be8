"""An owner and the bill, through the pages: tried, watched, grown, capped, fallen behind, left."""

import json
import os
import re
import ssl
import subprocess
import sys
import time
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import INCLUDED, ROOT
from tests.browser.test_new_owner import connect, create_factory, sign_up
from tests.resilience.crew import PATIENCE

pytestmark = pytest.mark.browser
LATER_MS = 60_000
GOOD, DECLINED, FAILS_LATER = "4242 4242 4242 4242", "4000 0000 0000 0002", "4000 0000 0000 0341"

# The factory has been a customer since the month before last, as the demonstration's are: on
# Stripe's simulated clock, which then keeps up with the present.
SINCE_MONTHS = """
import time
from datetime import datetime
from django.utils import timezone
from billing import selectors, services
from tenants.models import Factory

factory = Factory.objects.get(schema_name="{schema}")
services.start_subscription(
    factory=factory, plan="workshop", by=None, simulated=True, at=datetime.fromisoformat("{since}"),
)
deadline = time.monotonic() + 60
while not selectors.subscription_of(factory).stripe_id:
    assert time.monotonic() < deadline, "the worker did not open the subscription"
    time.sleep(0.2)
services.use_card(factory=factory, payment_method="pm_card_visa")
print(services.run_clock(factory=factory, until=timezone.now()))
"""

# What the clock has done every quarter of an hour; this installation has no clock of its own.
COUNTED = """
from billing import selectors, tasks
from tenants.context import factory_context
from tenants.models import Factory

factory = Factory.objects.get(schema_name="{schema}")
with factory_context(factory):
    tasks.count_usage(account_id=str(selectors.account_of(factory).pk))
"""

CUSTOMER = """
from billing import selectors
from tenants.models import Factory

print(selectors.account_of(Factory.objects.get(schema_name="{schema}")).stripe_customer_id)
"""


def inside(page: Page, installation: dict[str, str], script: str, **values: str) -> str:
    """Run a script as the installation would, for the factory whose portal the page shows."""
    schema = str(urlsplit(page.url).hostname).split(".")[0].replace("-", "_")
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c",
         script.format(schema=schema, **values)],
        cwd=ROOT, env={**os.environ, **installation}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def post(installation: dict[str, str], token: str, times: list[datetime]) -> httpx.Response:
    """Send a reading for each of some times, as a device does that was offline."""
    readings = [{"ts": round(at.timestamp() * 1000), "values": {"spindle_load_pct": 42.0 + i % 7}}
                for i, at in enumerate(times)]  # fmt: skip
    return httpx.post(
        f"{installation['TAKT_BASE_URL']}/api/v1/telemetry",
        content=json.dumps({"readings": readings}),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        verify=ssl.create_default_context(cafile=f"{installation['TAKT_VAR']}/ca.pem"),
        timeout=20,
    )


def send(installation: dict[str, str], token: str, times: list[datetime]) -> None:
    answer = post(installation, token, times)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"] == len(times), answer.text


def hear(installation: dict[str, str], token: str, code: str) -> None:
    """Send until the answer has a code (empty: stored): within 5 s every process knows of it."""
    deadline, answer = time.monotonic() + 5 * PATIENCE, None
    while time.monotonic() < deadline:
        answer = post(installation, token, [datetime.now(UTC)])
        if answer.json().get("code", "") == code:
            return
        time.sleep(0.5)
    pytest.fail(f"not {code or 'stored'}: {answer and answer.text}")


def months_back(n: int) -> datetime:
    """Return the first moment of the month n months before this one."""
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 - n
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


def portal_of(page: Page) -> str:
    return f"https://{urlsplit(page.url).netloc}"


def tab(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Usage and bill").get_by_role("link", name=name).click()


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def leave_a_card(page: Page, number: str) -> None:
    """Add a card on Stripe's page and come back."""
    page.get_by_role("button", name="Add a card").click()
    page.get_by_label("Card number").fill(number)
    page.get_by_role("button", name="Save the card").click()


def token_of(command: str) -> str:
    found = re.search(r"takt_dev_[^\s\"']+", command)
    assert found, command
    return found[0]


def test_a_trial_is_begun_watched_and_given_a_card(page: Page, installation: dict[str, str]):
    sign_up(page, installation["TAKT_BASE_URL"], email=f"try-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Try {uuid.uuid4().hex[:6]}")
    portal = portal_of(page)
    command = connect(page, "Mill 1")

    page.goto(f"{portal}/usage/plan/")
    expect(card(page, "Your plan")).to_contain_text("You are on Start")
    card(page, "Workshop").get_by_role("link", name="Try 30 days free").click()
    expect(page.get_by_text("Nothing is changed until you confirm.")).to_be_visible()
    expect(card(page, "What happens")).to_contain_text("No card is asked for.")
    page.get_by_role("button", name="Start the trial of Workshop").click()
    expect(page.get_by_text("Workshop is chosen.")).to_be_visible()
    expect(card(page, "Your plan")).to_contain_text("Leave a card before then to go on")

    tab(page, "Usage")
    bill, coming = card(page, "The bill of this month"), page.locator("#coming")
    expect(bill).to_contain_text("Forecast for")
    expect(card(page, "Your plan").first).to_contain_text("Free trial until")
    expect(coming).to_contain_text("What comes shows here at once.")
    for n, load in enumerate(("58.2", "59.3", "60.4"), start=1):
        subprocess.run(["/bin/sh", "-c", command.replace("58.2", load)], check=True)
        expect(coming).to_contain_text(f"+ {n}")  # without a reload: it came over the stream
    expect(coming).to_contain_text(re.compile(r"Mill 1 \+3"))

    tab(page, "Payment")
    expect(card(page, "Cards")).to_contain_text("No card yet.")
    leave_a_card(page, DECLINED)
    expect(page.get_by_role("alert")).to_contain_text("Your card was declined.")
    page.get_by_label("Card number").fill(GOOD)
    page.get_by_role("button", name="Save the card").click()
    expect(page.get_by_text(re.compile("4242.* is saved."))).to_be_visible()
    expect(card(page, "Cards")).to_contain_text("Pays the invoices")
    tab(page, "Plan")
    expect(card(page, "Your plan")).to_contain_text("your card is charged by the month")


def test_a_customer_grows_hits_a_cap_falls_behind_pays_and_leaves(
    page: Page, installation: dict[str, str], tmp_path: Path
):
    sign_up(page, installation["TAKT_BASE_URL"], email=f"old-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Old {uuid.uuid4().hex[:6]}")
    portal = portal_of(page)
    token = token_of(connect(page, "Mill 1"))
    be_a_customer_for_months(page, installation, token)

    page.goto(f"{portal}/usage/")
    see_the_forecast(page)
    hit_a_cap(page, installation, token)
    grow(page)
    hear(installation, token, "")  # the larger plan has room again
    fall_behind(page, installation)
    pay(page)
    cancel(page)
    export(page, tmp_path)


def be_a_customer_for_months(page: Page, installation: dict[str, str], token: str) -> None:
    """Send a few readings a day since the month before last, and be billed for them."""
    since, now = months_back(2), datetime.now(UTC)
    times = [since + timedelta(hours=9 * n) for n in range(300)]
    send(installation, token, [at for at in times if at < now])
    told = inside(page, installation, SINCE_MONTHS, since=since.isoformat())
    assert int(told) >= 1, told


def see_the_forecast(page: Page) -> None:
    bill = card(page, "The bill of this month")
    expect(bill).to_contain_text(re.compile(r"Forecast for \d+ \w+\s*€(2[9]|[3-9]\d)\.\d\d"))
    bill.get_by_text("How the forecast is made").click()
    expect(bill.locator("details p")).to_be_visible()
    expect(card(page, "Cost by machine")).to_contain_text("Mill 1")
    expect(card(page, "Cost by machine")).to_contain_text("not measured yet")


def set_cap(page: Page, most: str, action: str) -> None:
    caps = card(page, "Caps")
    field = caps.get_by_label("Stop at so many beyond the included").first
    if not field.is_visible():
        caps.get_by_text("Readings", exact=True).click()
    field.fill(most)
    caps.get_by_role("radio", name=re.compile(action)).first.check()
    caps.get_by_role("button", name="Save the cap: Readings").click()
    expect(page.get_by_text(f"It stops at {most} now.")).to_be_visible()


def hit_a_cap(page: Page, installation: dict[str, str], token: str) -> None:
    """Have what comes beyond the included kept, see it held, buy it back; then have it refused."""
    caps, now = card(page, "Caps"), datetime.now(UTC)
    before = now.replace(minute=0, second=0, microsecond=0) - timedelta(seconds=1)
    if before < months_back(0):
        pytest.skip("nothing is counted yet in the first hour of a month")
    set_cap(page, "0", "Keep it")
    send(installation, token, [before - timedelta(seconds=n) for n in range(INCLUDED)])
    inside(page, installation, COUNTED)
    page.reload()
    expect(caps).to_contain_text("are held back")
    expect(card(page, "What it is made of")).to_contain_text(re.compile(r"\d+ held back"))
    caps.get_by_role("button", name="Buy back for").click()
    expect(page.get_by_text("Bought back for")).to_be_visible()
    expect(caps).not_to_contain_text("are held back")

    n_beyond = caps.get_by_label("Stop at so many beyond the included").first.input_value()
    assert int(n_beyond) > 0
    set_cap(page, n_beyond, "Refuse it")
    hear(installation, token, "cap_reached")


def grow(page: Page) -> None:
    """Look at what a larger plan does, and choose it."""
    tab(page, "Plan")
    card(page, "Plant").get_by_role("link", name="Change up to Plant").click()
    expect(card(page, "What it costs")).to_contain_text("€29.00")
    expect(card(page, "What it costs")).to_contain_text("€49.00")
    expect(card(page, "What happens")).to_contain_text("€20.00 more each")
    page.get_by_role("button", name="Change to Plant").click()
    expect(page.get_by_text("Plant is chosen.")).to_be_visible()
    expect(card(page, "Your plan")).to_contain_text("You are on Plant")


def fall_behind(page: Page, installation: dict[str, str]) -> None:
    """Use a card whose bank declines, and have an invoice made that it should pay."""
    tab(page, "Payment")
    leave_a_card(page, FAILS_LATER)
    expect(page.get_by_text(re.compile("0341.* is saved."))).to_be_visible()
    customer = inside(page, installation, CUSTOMER)
    with httpx.Client(
        base_url=installation["STRIPE_API_BASE"], auth=(installation["STRIPE_API_KEY"], "")
    ) as stripe:
        invoice = stripe.post("/v1/invoices", data={"customer": customer}).json()["id"]
        item = {"customer": customer, "invoice": invoice, "amount": "9900", "currency": "eur",
                "description": "Setting up on site"}  # fmt: skip
        assert stripe.post("/v1/invoiceitems", data=item).status_code == 200
        assert stripe.post(f"/v1/invoices/{invoice}/finalize").status_code == 200
        assert stripe.post(f"/v1/invoices/{invoice}/pay").status_code == 402


def pay(page: Page) -> None:
    """Read on every page that something is open, be declined, leave another card, pay."""
    banner = page.get_by_role("status", name="Your bill")
    portal = portal_of(page)
    for _ in range(60):  # the event of Stripe takes its way
        page.goto(f"{portal}/machines/")
        if banner.count():
            break
        page.wait_for_timeout(500)
    expect(banner).to_contain_text("An invoice could not be collected.")
    expect(banner).to_contain_text("Everything works until")
    banner.get_by_role("link", name="Pay now").click()
    expect(card(page, "To be paid")).to_contain_text("€99.00")
    page.get_by_role("button", name="Pay now").click()
    expect(page.get_by_text("The bank declined")).to_be_visible()
    leave_a_card(page, GOOD)
    expect(page.get_by_text(re.compile("4242.* is saved."))).to_be_visible()
    page.get_by_role("button", name="Pay now").click()
    expect(page.get_by_text("Paid: €99.00. Everything is in order again.")).to_be_visible()
    expect(banner).to_have_count(0)
    tab(page, "Invoices")
    expect(page.get_by_role("row").filter(has_text="€99.00")).to_contain_text("Paid")


def cancel(page: Page) -> None:
    tab(page, "Plan")
    card(page, "Your plan").get_by_role("link", name="Cancel").click()
    expect(card(page, "What happens when")).to_contain_text("All data are deleted.")
    page.get_by_label("What was missing?").fill("The mill was sold")
    page.get_by_role("button", name=re.compile("Cancel on")).click()
    expect(page.get_by_text("Cancelled: it ends on")).to_be_visible()
    page.get_by_role("button", name="Keep Plant").click()
    expect(page.get_by_text("Plant goes on as before.")).to_be_visible()
    card(page, "Your plan").get_by_role("link", name="Cancel").click()
    page.get_by_role("button", name=re.compile("Cancel on")).click()
    expect(page.get_by_text("Cancelled: it ends on")).to_be_visible()


def export(page: Page, folder: Path) -> None:
    """Take everything along: what was sent is in the file, and so are the invoices."""
    page.goto(f"{portal_of(page)}/settings/leaving/")
    page.get_by_role("button", name="Export everything").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=LATER_MS)
    with page.expect_download() as download:
        link.click()
    path = folder / "everything.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as everything:
        assert everything.testzip() is None
        names = everything.namelist()
    assert any(name.endswith(".parquet") for name in names), names
