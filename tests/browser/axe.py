"""axe-core on pages of an installation: what breaks WCAG 2.2 A or AA.

The script comes with the front end's development packages (package.json). It is handed to the page
by the debugger, which no content policy stops. Two browsers share the pages: on one core alone
they would take minutes.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.browser.conftest import ROOT, SLOW_MS, launch
from tests.browser.waiting import until

SCRIPT: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
ALL_RULES: Final = {"type": "tag", "values": TAGS}
# The only rules that look at colours: the others say the same in every theme.
OF_COLOURS: Final = {"type": "rule", "values": ("color-contrast", "link-in-text-block")}
WIDTHS: Final = (1440, 390)
LIGHT: Final = {"color_scheme": "light", "contrast": "no-preference"}
DARK: Final = {"color_scheme": "dark", "contrast": "no-preference"}
STRONG: Final = {"color_scheme": "light", "contrast": "more"}
DARK_STRONG: Final = {"color_scheme": "dark", "contrast": "more"}
N_BROWSERS: Final = 2

Looks = tuple[tuple[int, Mapping[str, str], Mapping[str, Any]], ...]
# Every page is seen light, dark and in strong contrast, and at both widths with all rules; pages
# take turns in which theme they are seen at which width.
TURNS: Final[tuple[Looks, Looks]] = (
    ((1440, LIGHT, ALL_RULES), (1440, STRONG, OF_COLOURS), (390, DARK, ALL_RULES)),
    ((1440, DARK, ALL_RULES), (390, LIGHT, ALL_RULES), (390, DARK_STRONG, OF_COLOURS)),
)
EVERY_LOOK: Final[Looks] = tuple(
    (width, theme, ALL_RULES) for width in WIDTHS for theme in (LIGHT, DARK, STRONG, DARK_STRONG)
)

RUN: Final = """async ([only, left, root]) => {
  const found = await axe.run({ include: [[root]], exclude: left.map((one) => [one]) }, {
    runOnly: only, resultTypes: ["violations"], preload: false,
  });
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => ({
    rule: id, html: node.html, why: node.failureSummary,
  })));
}"""
# What is folded away is part of the page; menus lie over it and are looked at by themselves.
UNFOLD: Final = (
    "document.querySelectorAll('details:not([data-menu])').forEach((one) => (one.open = true))"
)
# What htmx fetches for a page that was just opened.
SETTLED: Final = "!document.querySelector('.htmx-request, [hx-trigger=load]')"
# What watches sizes has its say after the next frame; colours on their way arrive.
DRAWN: Final = """async () => {
  for (let n = 0; n < 2; n += 1) await new Promise(requestAnimationFrame);
  for (const moving of document.getAnimations()) {
    if (moving.effect?.getComputedTiming().endTime !== Infinity) moving.finish();
  }
}"""


def look_at(
    context: BrowserContext, addresses: Sequence[str], *, left_out: Sequence[str] = ()
) -> list[str]:
    """Return what is wrong on these pages, seen with the cookies of a context.

    `TAKT_EVERY_LOOK=1` in the environment looks at every page in every theme at every width.
    """
    state = context.storage_state()
    numbered = list(enumerate(addresses))
    shares = [numbered[n::N_BROWSERS] for n in range(N_BROWSERS)]
    with ThreadPoolExecutor(N_BROWSERS) as pool:
        said = pool.map(partial(_look, state=state, left_out=left_out), shares)
        return sorted(chain.from_iterable(said))


def _look(share: Sequence[tuple[int, str]], *, state: Any, left_out: Sequence[str]) -> list[str]:
    said = []
    with sync_playwright() as playwright, launch(playwright) as browser:
        context = browser.new_context(
            ignore_https_errors=True, reduced_motion="reduce", storage_state=state
        )
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        for number, address in share:
            page.goto(address)
            until(page, SETTLED)
            looks = (
                EVERY_LOOK if os.environ.get("TAKT_EVERY_LOOK") == "1" else TURNS[number // 2 % 2]
            )
            found = violations(page, looks, left_out=left_out)
            said += [f"{address}: {one}" for one in found]
    return said


def violations(
    page: Page, looks: Looks = EVERY_LOOK, *, left_out: Sequence[str] = (), root: str = "html"
) -> list[str]:
    """Look at the open page; return each thing that is wrong, with where it was seen."""
    page.evaluate(SCRIPT.read_text())
    page.evaluate(UNFOLD)
    where: dict[str, list[str]] = defaultdict(list)
    for width, theme, rules in looks:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(**theme)  # type: ignore[arg-type]
        page.evaluate(DRAWN)
        for broken in page.evaluate(RUN, [rules, list(left_out), root]):
            where[_told(broken)].append(f"{width} px, {', '.join(theme.values())}")
    return [f"{what}\n    {'; '.join(places)}" for what, places in where.items()]


def _told(broken: Mapping[str, str]) -> str:
    why = " ".join(broken["why"].split("\n")[1:]).strip()
    return f"{broken['rule']}: {broken['html'][:200]}\n    {why[:240]}"
