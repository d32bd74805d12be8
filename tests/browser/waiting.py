"""Waits for something that only the page's own script can tell."""

import time

from playwright.sync_api import Page

PATIENCE_S = 20.0


def until(page: Page, expression: str) -> None:
    """Wait until an expression is true on the page.

    Playwright's `wait_for_function` asks again by `eval`, which the content policy refuses.

    Raises:
        TimeoutError: it was not true in 20 s.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        if time.monotonic() > deadline:
            raise TimeoutError(expression)
        page.wait_for_timeout(50)
