import type { Explorer } from "./explorer.ts";
import { between, moved, parts, into, zoomed } from "./explorer-view.ts";

const STEP = 0.25;
const CLOSER = 0.5;

/** Everything that a person does to the explorer: drag, wheel, keys, buttons, links. */
export function bindHands(explorer: Explorer): void {
  const { place } = explorer;
  place.addEventListener("pointerdown", (event) => drag(explorer, event));
  place.addEventListener("wheel", (event) => wheel(explorer, event), { passive: false });
  place.addEventListener("keydown", (event) => key(explorer, event));
  document.querySelectorAll<HTMLElement>("[data-move]").forEach((button) => {
    button.addEventListener("click", () => act(explorer, button.dataset["move"] ?? ""));
  });
  document.querySelectorAll<HTMLElement>("[data-range]").forEach((link) => {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      if (explorer.followPresent(link.dataset["range"] ?? "")) event.preventDefault();
    });
  });
  document.querySelector("[data-again]")?.addEventListener("click", () => void explorer.again());
  keepRange(explorer);
}

function act(explorer: Explorer, what: string): void {
  const { view } = explorer;
  if (what === "earlier") explorer.show(moved(view, -STEP));
  if (what === "later") explorer.show(moved(view, STEP));
  if (what === "in") explorer.show(zoomed(view, CLOSER, explorer.isFollowing ? view.end : undefined));
  if (what === "out") explorer.show(zoomed(view, 1 / CLOSER));
  if (what === "now") {
    const span = view.end - view.start;
    const now = Date.now() / 1000;
    explorer.show({ start: now - span, end: now, code: "" });
  }
}

const KEYS: Record<string, string> = { ArrowLeft: "earlier", ArrowRight: "later", "+": "in", "=": "in", "-": "out", End: "now" };
let cursor = -1;

function key(explorer: Explorer, event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const what = KEYS[event.key];
  if (what) act(explorer, what);
  else if (event.key === "," || event.key === ".") point(explorer, event.key === "," ? -1 : 1);
  else return;
  event.preventDefault();
}

/** Move the cursor by a fiftieth of the width; what it stands on is read out. */
function point(explorer: Explorer, by: number): void {
  const panel = explorer.panels.find((one) => one.isSeen);
  if (!panel) return;
  const width = panel.width;
  cursor = cursor < 0 ? width / 2 : Math.min(Math.max(cursor + (by * width) / 50, 0), width);
  explorer.place.querySelector(".readout")?.setAttribute("aria-live", "polite");
  panel.showCursor(cursor);
}

function wheel(explorer: Explorer, event: WheelEvent): void {
  const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
  // Who scrolls past the chart goes on scrolling; who works in it (or holds Ctrl) zooms.
  if (!isSideways && !event.ctrlKey && document.activeElement !== explorer.place) return;
  event.preventDefault();
  const { view } = explorer;
  if (isSideways) explorer.show(moved(view, Math.sign(event.deltaX) * Math.min(Math.abs(event.deltaX) / 800, STEP)));
  else explorer.show(zoomed(view, Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 250), timeAt(explorer, event.clientX)));
}

function timeAt(explorer: Explorer, clientX: number): number | undefined {
  return explorer.panels.find((panel) => panel.isSeen)?.timeAt(clientX);
}

/** Move with the pointer; with Shift, look closer at what lies between. */
function drag(explorer: Explorer, event: PointerEvent): void {
  const over = event.target instanceof Element ? event.target.closest<HTMLElement>(".u-over") : null;
  if (!over || event.button !== 0) return;
  const from = event.clientX;
  const began = explorer.view;
  const width = over.clientWidth;
  const isCloser = event.shiftKey;
  const mark = isCloser ? marked(over, event.clientX) : undefined;
  explorer.place.querySelector(".readout")?.setAttribute("aria-live", "off");
  over.setPointerCapture(event.pointerId);
  explorer.place.classList.add("is-dragged");
  const move = (now: PointerEvent): void => {
    if (mark) mark(now.clientX);
    else if (Math.abs(now.clientX - from) > 2) explorer.show(moved(began, (from - now.clientX) / width));
  };
  const end = (now: PointerEvent): void => {
    over.removeEventListener("pointermove", move);
    over.removeEventListener("pointerup", end);
    over.removeEventListener("pointercancel", end);
    explorer.place.classList.remove("is-dragged");
    over.querySelector(".closer")?.remove();
    const [one, other] = [timeAt(explorer, from), timeAt(explorer, now.clientX)];
    if (isCloser && Math.abs(now.clientX - from) > 4 && one !== undefined && other !== undefined) explorer.show(between(one, other), true);
  };
  over.addEventListener("pointermove", move);
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
}

function marked(over: HTMLElement, from: number): (to: number) => void {
  const edge = over.getBoundingClientRect().left;
  const band = document.createElement("div");
  band.className = "closer";
  over.append(band);
  return (to) => {
    band.style.left = `${Math.min(from, to) - edge}px`;
    band.style.width = `${Math.abs(to - from)}px`;
  };
}

/** Links and forms of the page take the time along that is shown when they are used. */
function keepRange(explorer: Explorer): void {
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[data-keeps-range]") : null;
    if (!link) return;
    const url = new URL(link.href);
    into(url.searchParams, explorer.view);
    link.href = url.toString();
  });
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement) || !form.matches("[data-keeps-range]")) return;
    form.querySelectorAll("[data-kept]").forEach((field) => field.remove());
    for (const [name, value] of parts(explorer.view)) {
      const field = document.createElement("input");
      Object.assign(field, { type: "hidden", name, value });
      field.dataset["kept"] = "";
      form.append(field);
    }
  }, { capture: true });
}
