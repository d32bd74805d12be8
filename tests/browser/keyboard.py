"""A walk through a page with the Tab key: where it stops, and what can be seen of each stop."""

from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Page

from tests.browser.axe import SETTLED
from tests.browser.waiting import until

MOST_STOPS: Final = 400  # a walk that is longer goes round in a circle

# Everything that Tab should reach; of the radio buttons of a group, only one.
LIST: Final = """() => {
  const named = "a[href], button, input, select, textarea, summary, [tabindex]";
  const all = [...document.querySelectorAll(named)].filter((one) =>
    one.tabIndex >= 0 && !one.disabled && one.type !== "hidden" &&
    one.checkVisibility({ visibilityProperty: true }) && !one.closest("[inert]"));
  const isStop = (one) => one.type !== "radio" || one.checked ||
    (!all.some((other) => other.name === one.name && other.form === one.form && other.checked) &&
      all.find((other) => other.name === one.name && other.form === one.form) === one);
  window.toReach = all.filter(isStop);
  return window.toReach.map((one) => one.outerHTML.slice(0, 120));
}"""
STOP: Final = """() => {
  const here = document.activeElement;
  if (!here || here === document.body || here === document.documentElement) return null;
  const shown = here.labels?.[0] && here.getBoundingClientRect().width < 8 ? here.labels[0] : here;
  const looks = () => {
    const said = [];
    for (let one = here, up = 0; one && up < 3; one = one.parentElement, up += 1) {
      const style = getComputedStyle(one);
      const edge = `${style.outlineWidth} ${style.outlineColor}`;
      const outline = style.outlineStyle === "none" ? "" : edge;
      said.push([outline, style.boxShadow, style.borderTopColor, style.borderTopWidth].join());
    }
    return said.join("|");
  };
  const focused = looks();
  here.blur();
  const plain = looks();
  here.focus({ preventScroll: true });
  const box = shown.getClientRects()[0] ?? shown.getBoundingClientRect();
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  const { left, right, top, bottom } = box;
  const points = [[x, y], [left + 3, y], [right - 3, y], [x, top + 3], [x, bottom - 3]];
  const isOn = ([px, py]) => {
    const hit = document.elementFromPoint(px, py);
    return hit && (shown.contains(hit) || hit.contains(shown) && hit.closest("label"));
  };
  return {
    html: here.outerHTML.slice(0, 120),
    index: window.toReach.indexOf(here),
    place: [...document.querySelectorAll("*")].indexOf(here),
    isMarked: focused !== plain,
    isUncovered: points.some(isOn),
  };
}"""


def open_page(page: Page, address: str) -> list[str]:
    """Open a page, wait until it is whole, and list what Tab should reach."""
    page.goto(address)
    until(page, SETTLED)
    return list(page.evaluate(LIST))


def stops(page: Page) -> Iterator[dict[str, Any]]:
    """Press Tab from the top of the page until focus leaves it."""
    first = None
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or stop["place"] == first:
            return  # out of the page, or once around it
        first = stop["place"] if first is None else first
        yield stop
    raise AssertionError(f"{page.url}: focus does not leave the page")


def complaints(page: Page, address: str) -> list[str]:
    """Walk through a page and say which stops cannot be seen, or come in another order."""
    to_reach = open_page(page, address)
    found, reached, before = [], set(), -1
    for stop in stops(page):
        if not stop["isMarked"]:
            found.append(f"focus cannot be seen: {stop['html']}")
        if not stop["isUncovered"]:
            found.append(f"covered while it has focus: {stop['html']}")
        if stop["place"] < before:
            found.append(f"comes after what follows it: {stop['html']}")
        before = stop["place"]
        reached.add(stop["index"])
    missing = set(range(len(to_reach))) - reached
    return found + [f"Tab does not reach it: {to_reach[index]}" for index in sorted(missing)]
