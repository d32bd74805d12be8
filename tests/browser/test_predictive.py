"""From a machine that wears to a verdict: an engineer at the desk, a technician with a phone."""

import os
import re
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import ROOT
from tests.browser.test_new_owner import create_factory, sign_up

pytestmark = pytest.mark.browser
PHONE = ViewportSize(width=390, height=844)

# Three mills with four worn-out spindles each, the first near its next failure; a model of them.
FOUND = """
from datetime import timedelta
from uuid import uuid4
from django.utils import timezone
from mlops import services
from mlops.models import ModelVersion
from tenants.context import factory_context
from tests.mlops import plant

with factory_context("{schema}") as factory:
    if "{step}" == "found":
        factory.limits.max_machines = None
        factory.limits.save()
        plant.START = timezone.now() - timedelta(hours=319)
        kind, mills = plant.mills_with_history()
        services.train(subject_id=kind.pk, job_id=uuid4(), report=lambda share, text: None)
        found = services.score_machines(machine_ids=[m.pk for m in mills], at=timezone.now())
        services.propose(found)
        print("MACHINE", mills[0].pk, "TYPE", kind.pk)
    else:
        version = ModelVersion.objects.get(alias="champion", kind="remaining_life")
        print("WATCHED", services.watch(version_id=version.pk, at=timezone.now()))
"""


def inside(page: Page, installation: dict[str, str], step: str) -> str:
    schema = str(urlsplit(page.url).hostname).split(".")[0].replace("-", "_")
    done = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v", "0", "-c",
         FOUND.format(schema=schema, step=step)],
        cwd=ROOT, env={**os.environ, **installation}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wear_is_announced_worked_on_and_counted(page: Page, installation: dict[str, str]):
    sign_up(page, installation["TAKT_BASE_URL"], email=f"wear-{uuid.uuid4().hex[:8]}@example.com")
    create_factory(page, f"Wear {uuid.uuid4().hex[:6]}")
    portal = f"https://{urlsplit(page.url).netloc}"
    told = inside(page, installation, "found")
    found = re.search(r"MACHINE (\S+) TYPE (\S+)", told)
    assert found, told

    # The engineer reads why, sees the interval, and accepts what is proposed.
    page.goto(f"{portal}/machines/{found[1]}/")
    life = page.get_by_role("region", name="Spindle: remaining life")
    expect(life.get_by_text(re.compile(r"\d+ to \d+ cycles|Less than|About"))).to_be_visible()
    expect(life.get_by_text(re.compile("above its usual")).first).to_be_visible()
    page.get_by_role("link", name="Spindle: check and replace").click()
    expect(page.get_by_text(re.compile("Failure within 14 days"))).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_text("Approved").first).to_be_visible()

    # The technician closes it on a phone.
    page.set_viewport_size(PHONE)
    page.goto(f"{portal}/m/mill-1/")
    page.get_by_role("link", name=re.compile("check and replace")).first.click()
    page.get_by_role("radio", name="Real").check()
    page.get_by_role("radio", name="Vibration").check()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("An engineer looks at it next.")).to_be_visible()

    # What was said is counted.
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{portal}/models/{found[2]}/remaining_life/")
    expect(page.get_by_text("Nothing it said has come to its end yet")).to_be_visible()
    assert "'outcomes': 1" in inside(page, installation, "watch")
    page.reload()
    expect(page.get_by_text(re.compile(r"Right [01] of 1 time\."))).to_be_visible()
