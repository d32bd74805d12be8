"""A whole installation of its own, and Chromium in front of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    sync_playwright,
)

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
BOOKS = ROOT / "billing" / "price_books"
INCLUDED = 200  # readings a machine and month on the plan Workshop


@pytest.fixture(scope="session")
def price_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The price lists, and a newer one that includes so little that a test can use it up."""
    folder = tmp_path_factory.mktemp("price_books")
    for book in BOOKS.glob("*.toml"):
        shutil.copy(book, folder)
    newest = max(folder.glob("*.toml"), key=lambda book: int(book.stem))
    number = int(newest.stem)
    text = newest.read_text().replace(f"version = {number}", f"version = {number + 1}")
    assert text.count("readings_per_machine = 20_000_000") == 1
    text = text.replace("readings_per_machine = 20_000_000", f"readings_per_machine = {INCLUDED}")
    (folder / f"{number + 1}.toml").write_text(text)
    return folder


@pytest.fixture(scope="session")
def installation(price_books: Path) -> Iterator[dict[str, str]]:
    """Start everything that a browser needs, with data of its own below var/browser."""
    environ = {"TAKT_PRICE_BOOKS": str(price_books)}
    stack = Stack(
        var=ROOT / "var" / "browser",
        services=["postgres", "valkey", "s3", "stripe", "web", "worker"],
        log=lambda _line: None,
        environ=environ,
    )
    with stack:
        yield stack.env | environ


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
def page(visitor: BrowserContext, installation: dict[str, str]) -> Iterator[Page]:
    """A page on which nothing may go wrong in silence: errors and refused content fail the test.

    Not those of the stand-in for Stripe, whose pages refuse cards with a status.
    """
    page = visitor.new_page()
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        is_ours = not message.location["url"].startswith(installation["STRIPE_API_BASE"])
        if message.type == "error" and is_ours:
            complaints.append(message.text)

    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", note)
    yield page
    assert not complaints, complaints
