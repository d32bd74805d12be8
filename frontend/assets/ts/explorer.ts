import type uPlot from "uplot";
import { append, valueAt, type Line } from "./explorer-lines.ts";
import { ExplorerPanel, type Happening, type PanelPlan } from "./explorer-panel.ts";
import { bindHands } from "./explorer-hands.ts";
import { into, parts, type View } from "./explorer-view.ts";
import { READINGS, RECONNECTED, type LiveReading } from "./live.ts";
import { figure, moment } from "./words.ts";

interface Plan {
  start: number;
  end: number;
  range: string;
  ranges: Record<string, number>; // lengths of the ranges that follow the present
  panels: PanelPlan[];
}

interface Answer {
  bucket_s: number;
  lines: Record<string, Line>;
  summary: string;
}

const SETTLE_MS = 160; // after the last movement the readings of the new view are asked for
const ADDRESS_MS = 400; // browsers count how often a page rewrites its address
const FRAME_MS = 1_000; // readings that arrive are drawn at most this often
const TICK_MS = 5_000; // the present moves on also when nothing comes
const PATIENCE_MS = 20_000;
const POINT_PX = 4; // a bucket takes so many pixels: finer is not seen and costs a frame

/** Signals of any machines on one time axis; asks only for what is in sight. */
export class Explorer {
  view: View;
  readonly panels: ExplorerPanel[];
  private readonly plan: Plan;
  private events: Happening[] = [];
  private readonly bounds = new Map<string, [number, number]>();
  private readonly dirty = new Set<ExplorerPanel>();
  private frame = 0;
  private lastDraw = 0;
  private settle = 0;
  private asked: AbortController | undefined;
  private heard: LiveReading[] = []; // while answers are under way, which may be without them
  private nUnderWay = 0;
  private askedEvents: AbortController | undefined;
  private eventsFor = "";

  constructor(readonly place: HTMLElement) {
    this.plan = JSON.parse(document.getElementById(place.dataset["explorer"] ?? "")?.textContent ?? "{}") as Plan;
    this.view = { start: this.plan.start, end: this.plan.end, code: this.plan.range };
    let first = 0;
    this.panels = this.plan.panels.map((panel, index, all) => {
      const at = { first, isTop: index === 0, isBottom: index === all.length - 1, height: all.length === 1 ? 320 : all.length > 4 ? 120 : 170 };
      first += panel.signals.length;
      return new ExplorerPanel(panel, at, {
        view: () => this.view,
        events: () => this.events,
        bounds: (scale) => this.bounds.get(scale),
        moved: (plot: uPlot) => this.tell(plot),
      });
    });
    this.build();
    bindHands(this);
    this.watch();
  }

  get isFollowing(): boolean {
    return this.view.code in this.plan.ranges;
  }

  /** Show another stretch of time: at once with what is known, soon with what belongs to it. */
  show(view: View, remember = false): void {
    this.view = view;
    this.panels.forEach((panel) => this.dirty.add(panel));
    this.request();
    window.clearTimeout(this.settle);
    this.settle = window.setTimeout(() => void this.load(), SETTLE_MS);
    this.keepAddress(remember);
  }

  /** Follow the present over a range like "8h"; false where its length is not known here. */
  followPresent(code: string): boolean {
    const length = this.plan.ranges[code];
    if (length === undefined) return false;
    const now = Date.now() / 1000;
    this.show({ start: now - length, end: now, code }, true);
    return true;
  }

  async load(): Promise<void> {
    const key = JSON.stringify(this.isFollowing ? this.view.code : this.view);
    const wanted = this.panels.filter((panel) => panel.isSeen && (panel.isStale || panel.loaded !== key));
    if (this.eventsFor !== key) void this.loadEvents(key);
    if (wanted.length === 0) return;
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    const query = new URLSearchParams(parts(this.view));
    for (const panel of wanted) for (const signal of panel.plan.signals) query.append("s", String(signal.id));
    query.set("n", String(Math.max(100, Math.min(1200, Math.round((wanted[0]?.width ?? 900) / POINT_PX)))));
    this.nUnderWay += 1;
    try {
      const answer = await this.ask<Answer>(`${this.place.dataset["series"] ?? ""}?${query.toString()}`, asked.signal);
      wanted.forEach((panel) => this.take(panel, answer, key));
      this.say(answer.summary);
      this.problem("");
    } catch (error) {
      if (!asked.signal.aborted) this.problem(`The readings could not be loaded: ${reason(error)} What is drawn stays, and new readings go on being stored.`);
    } finally {
      this.nUnderWay -= 1;
      if (this.nUnderWay === 0) this.heard = [];
    }
  }

  /** Forget what was loaded and ask again. */
  async again(): Promise<void> {
    this.panels.forEach((panel) => (panel.isStale = true));
    this.eventsFor = "";
    await this.load();
  }

  private take(panel: ExplorerPanel, answer: Answer, key: string): void {
    panel.bucket = answer.bucket_s;
    panel.lines = panel.plan.signals.map((signal) => answer.lines[String(signal.id)] ?? { raw: false, t: [], avg: [], min: [], max: [], gaps: [] });
    panel.loaded = key;
    panel.isStale = false;
    panel.box.classList.remove("is-waiting");
    if (this.isFollowing) this.extend(panel, this.heard);
    this.share(panel.plan.scale);
    this.panels.filter((other) => other.plan.scale === panel.plan.scale).forEach((other) => this.dirty.add(other));
    this.request();
  }

  /** Small multiples of one unit have one scale, from the least to the most of all of them. */
  private share(scale: string): void {
    const group = this.panels.filter((panel) => panel.plan.scale === scale);
    if (group.length < 2) return;
    const lines = group.flatMap((panel) => panel.lines);
    const low = lines.flatMap((line) => (line.raw ? line.avg : line.min)).reduce((a, b) => Math.min(a, b), Infinity);
    const high = lines.flatMap((line) => (line.raw ? line.avg : line.max)).reduce((a, b) => Math.max(a, b), -Infinity);
    if (low <= high) this.bounds.set(scale, [low, high]);
  }

  private async loadEvents(key: string): Promise<void> {
    this.askedEvents?.abort();
    const asked = (this.askedEvents = new AbortController());
    const query = new URLSearchParams(parts(this.view));
    for (const panel of this.panels) for (const signal of panel.plan.signals) query.append("s", String(signal.id));
    const list = document.querySelector<HTMLElement>("[data-explorer-list]");
    try {
      const found = await this.ask<{ events: Happening[]; left_out: string }>(`${this.place.dataset["events"] ?? ""}?${query.toString()}`, asked.signal);
      this.eventsFor = key;
      this.events = found.events;
      if (list) listEvents(list, found.events, found.left_out);
      this.panels.forEach((panel) => this.dirty.add(panel));
      this.request();
    } catch (error) {
      if (!asked.signal.aborted && list) listEvents(list, [], `Events could not be loaded: ${reason(error)} The readings are complete.`);
    }
  }

  private async ask<Found>(url: string, signal: AbortSignal): Promise<Found> {
    const ended = new AbortController();
    const timer = window.setTimeout(() => ended.abort(new DOMException("", "TimeoutError")), PATIENCE_MS);
    signal.addEventListener("abort", () => ended.abort());
    try {
      const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: ended.signal });
      if (answer.ok) return (await answer.json()) as Found;
      const body = (await answer.json().catch(() => ({}))) as { message?: string };
      throw new Error(body.message ?? `the server answered ${answer.status}.`);
    } finally {
      window.clearTimeout(timer);
    }
  }

  /** Draw what changed, one panel a frame: two at once may be longer than a frame. */
  private request(): void {
    if (this.frame) return;
    this.frame = window.requestAnimationFrame(() => {
      this.frame = 0;
      const panel = [...this.dirty].find((one) => one.isSeen && one.loaded);
      if (!panel) {
        this.dirty.clear();
        return;
      }
      this.dirty.delete(panel);
      panel.draw();
      this.lastDraw = performance.now();
      if (this.dirty.size > 0) this.request();
    });
  }

  private hear(readings: LiveReading[]): void {
    if (this.nUnderWay > 0) this.heard.push(...readings);
    if (!this.isFollowing) return;
    this.panels.forEach((panel) => this.extend(panel, readings));
    if (performance.now() - this.lastDraw >= FRAME_MS) this.present();
  }

  private extend(panel: ExplorerPanel, readings: LiveReading[]): void {
    panel.lines.forEach((line, index) => {
      const signal = panel.plan.signals[index];
      if (signal) for (const reading of readings) if (append(line, signal, reading, panel.bucket)) this.dirty.add(panel);
    });
  }

  /** Bring the right edge to now. */
  private present(): void {
    const now = Date.now() / 1000;
    this.view = { ...this.view, start: now - (this.view.end - this.view.start), end: now };
    this.panels.forEach((panel) => this.dirty.add(panel));
    this.request();
  }

  private build(): void {
    const holder = this.place.querySelector<HTMLElement>(".panels");
    holder?.replaceChildren(...this.panels.flatMap((panel) => [panel.title(), panel.box]));
    const seen = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          const panel = this.panels.find((one) => one.box === entry.target);
          if (!panel) continue;
          panel.isSeen = entry.isIntersecting;
          if (panel.isSeen) this.dirty.add(panel);
        }
        this.request();
        void this.load();
      },
      { rootMargin: "200px" },
    );
    this.panels.forEach((panel) => seen.observe(panel.box));
  }

  private watch(): void {
    document.addEventListener(READINGS, (event) => this.hear((event as CustomEvent<LiveReading[]>).detail));
    document.addEventListener(RECONNECTED, () => void this.again());
    document.addEventListener("takt:theme", () => {
      this.panels.forEach((panel) => panel.forget());
      this.panels.forEach((panel) => this.dirty.add(panel));
      this.request();
    });
    window.addEventListener("popstate", () => window.location.reload());
    new ResizeObserver(() => this.panels.forEach((panel) => panel.resize())).observe(this.place);
    window.setInterval(() => {
      if (this.isFollowing && !document.hidden) this.present();
    }, TICK_MS);
  }

  private addressTimer = 0;
  private keepAddress(remember: boolean): void {
    window.clearTimeout(this.addressTimer);
    const write = (): void => {
      const url = new URL(window.location.href);
      into(url.searchParams, this.view);
      window.history[remember ? "pushState" : "replaceState"](null, "", url);
    };
    if (remember) write();
    else this.addressTimer = window.setTimeout(write, ADDRESS_MS);
    document.querySelectorAll<HTMLElement>("[data-range]").forEach((link) => {
      if (link.dataset["range"] === this.view.code) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    });
    const span = document.querySelector("[data-span]");
    if (span) span.textContent = `${moment(this.view.start * 1000)} to ${moment(this.view.end * 1000)}`;
  }

  private say(summary: string): void {
    this.place.querySelector(".panels")?.setAttribute("aria-label", summary);
  }

  private problem(words: string): void {
    const note = document.querySelector<HTMLElement>("[data-explorer-problem]");
    const text = note?.querySelector("[data-words]");
    if (!note || !text) return;
    note.hidden = words === "";
    text.textContent = words;
  }

  /** One line says what the cursor stands on, in all panels. */
  private tell(plot: uPlot): void {
    const readout = this.place.querySelector<HTMLElement>(".readout");
    const left = plot.cursor.left ?? -1;
    if (!readout || left < 0) return;
    const at = plot.posToVal(left, "x");
    const near = Math.max(120, (this.view.end - this.view.start) / 100);
    const parts = this.panels.flatMap((panel) =>
      panel.plan.signals.map((signal, index) => {
        const line = panel.lines[index];
        const value = line ? valueAt(line, at, Math.max(near, panel.bucket * 2)) : undefined;
        return `${signal.label} ${value === undefined ? "no data" : `${figure(value)} ${panel.plan.unit}`}`.trim();
      }),
    );
    const text = `${moment(at * 1000)}: ${parts.join(" · ")}`;
    if (readout.textContent !== text) readout.textContent = text;
  }
}

function reason(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return "the server took more than 20 s.";
  if (error instanceof TypeError) return "the server cannot be reached.";
  return error instanceof Error ? error.message : "";
}

function listEvents(list: HTMLElement, events: Happening[], words: string): void {
  list.hidden = events.length === 0 && words === "";
  const rows = events.map((event) => {
    const row = document.createElement("li");
    const when = document.createElement("span");
    when.className = "when";
    when.textContent = event.when;
    const link = document.createElement("a");
    link.href = event.path;
    link.textContent = event.label;
    row.append(when, link);
    return row;
  });
  list.querySelector("ol")?.replaceChildren(...rows);
  const left = list.querySelector("[data-left-out]");
  if (left) left.textContent = words;
}
