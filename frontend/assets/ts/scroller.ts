/** What scrolls can be scrolled by keyboard: it is a stop of Tab while it has more than it shows. */
export function startScroller(box: HTMLElement): void {
  if (box.hasAttribute("tabindex")) return; // the template has said what it is
  const given = box.hasAttribute("aria-label") || box.hasAttribute("aria-labelledby");
  const attributes = given ? { tabindex: "0" } : { tabindex: "0", role: "group", "aria-label": `${nameOf(box)}, scrolls` };
  const look = (): void => {
    if (!box.isConnected) return stop();
    const isMore = box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight;
    for (const [attribute, value] of Object.entries(attributes)) {
      if (isMore) box.setAttribute(attribute, value);
      else box.removeAttribute(attribute);
    }
  };
  const watch = new ResizeObserver(look);
  const stop = (): void => {
    watch.disconnect();
    document.removeEventListener("htmx:afterSettle", look);
  };
  watch.observe(box);
  for (const child of box.children) watch.observe(child);
  document.addEventListener("htmx:afterSettle", look); // what was patched has lost them
}

function nameOf(box: HTMLElement): string {
  const section = box.closest("section");
  return (section?.getAttribute("aria-label") ?? section?.querySelector("h2, h3")?.textContent ?? "Table").trim();
}
