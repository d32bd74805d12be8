"""A whole installation of its own, and Chromium in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from infra.local.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SLOW_MS = 20_000


@pytest.fixture(scope="session")
def installation() -> Iterator[dict[str, str]]:
    """Start everything that a browser needs, with data of its own below var/browser."""
    stack = Stack(
        var=ROOT / "var" / "browser",
        services=["postgres", "valkey", "s3", "stripe", "web", "worker"],
        log=lambda _line: None,
        environ={},
    )
    with stack:
        yield stack.env


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser


def launch(playwright: Playwright) -> Browser:
    """Start the machine's own Chromium."""
    path = next((path for path in CHROMIUM if Path(path).exists()), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    return playwright.chromium.launch(executable_path=path, args=list(FLAGS))


@pytest.fixture
def visitor(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser that nobody has used; it does not know the installation's own authority."""
    context = chromium.new_context(
        ignore_https_errors=True, viewport={"width": 1440, "height": 900}
    )
    context.set_default_timeout(SLOW_MS)
    yield context
    context.close()


@pytest.fixture
def page(visitor: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong in silence: errors and refused content fail the test."""
    page = visitor.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type == "error" else None,
    )
    yield page
    assert not complaints, complaints
