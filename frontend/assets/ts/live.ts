import htmx from "htmx.org";
import { ago, clock } from "./words.ts";

/** What the factory's stream announces after each commit. */
export interface LiveReading {
  device_id: number;
  ts: string;
  values: Record<string, number | boolean | string>;
  n: number;
  age_s?: number; // how long ago it came, where the stream tells what was missed
}

/** Told on the document: the readings of one frame, and that a stream is back.
 *
 * A reading may be told twice, and one that came late is older than what is shown.
 */
export const READINGS = "takt:readings";
export const RECONNECTED = "takt:reconnected";

type Link = "connecting" | "live" | "quiet" | "lost";

const GRACE_MS = 4_000; // a reconnect within this time is nobody's business
const RETRY_MS = 5_000;
const REFRESH_MS = 4_000; // parts that the server draws are asked for at most this often
const TOPIC_MS = 1_000; // what a person waits for (a job's progress) is asked for sooner
const QUIET_MS = 60_000;
const MOST_WAITING = 2_000; // a page that cannot keep up forgets what is older

let lastReadingAt: number | undefined;
let lostAt: number | undefined;
let link: Link = "connecting";
let source: EventSource | undefined;
let hasListened = false;
let told = ""; // the id of what was heard last: a new stream goes on from there
let graceTimer: number | undefined;
let retryTimer: number | undefined;
let refreshTimer: number | undefined;
let deadlineTimer: number | undefined;
let frame = 0;
let touched = new Set<number>();
let topics = new Set<string>();
let waiting: string[] = [];
let isBehind = false;

/** The page's one event stream: tells the other modules, keeps the light honest.
 *
 * Nothing here asks the server on a clock: parts are drawn again after something was heard, at
 * a time that the server named (`data-refresh-at`), and when the stream comes back.
 */
export function startLive(url: string): void {
  connect(url);
  window.setInterval(showLight, 1_000);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && isBehind) refresh(undefined);
  });
  document.addEventListener("htmx:afterSettle", keepDeadline);
  keepDeadline();
  // A stream that stays open keeps the browser from leaving the page at once.
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) connect(url);
  });
}

function connect(url: string): void {
  source?.close();
  const address = new URL(url, window.location.href);
  if (told) address.searchParams.set("since", told);
  const stream = new EventSource(address);
  source = stream;
  stream.addEventListener("open", () => {
    window.clearTimeout(graceTimer);
    graceTimer = undefined;
    lostAt = undefined;
    link = "live";
    showLight();
  });
  // From now on nothing is missed. What was, of readings and alarms, the stream tells by itself.
  stream.addEventListener("listening", (event) => {
    told = event.lastEventId;
    if (hasListened) {
      refresh(undefined);
      refreshAlarms();
      document.dispatchEvent(new Event(RECONNECTED));
    } else document.querySelectorAll<HTMLElement>("[data-refresh-on]").forEach(ask);
    hasListened = true;
  });
  stream.addEventListener("reading", (event) => {
    told = event.lastEventId;
    heard((event as MessageEvent<string>).data);
  });
  stream.addEventListener("change", (event) => {
    topics.add((JSON.parse((event as MessageEvent<string>).data) as { topic: string }).topic);
    refreshSoon(TOPIC_MS);
  });
  // An alarm is shown at once, whatever the readings do.
  stream.addEventListener("alarm", () => refreshAlarms());
  stream.addEventListener("error", () => {
    graceTimer ??= window.setTimeout(() => {
      lostAt ??= Date.now() - GRACE_MS;
      link = "lost";
      showLight();
    }, GRACE_MS);
    if (stream.readyState === EventSource.CLOSED) {
      window.clearTimeout(retryTimer);
      retryTimer = window.setTimeout(() => connect(url), RETRY_MS);
    }
  });
}

/** Keep a bundle of readings, one a line, for the next frame. */
function heard(bundle: string): void {
  if (link !== "lost") link = "live";
  waiting.push(...bundle.split("\n"));
  if (waiting.length > MOST_WAITING) waiting = waiting.slice(-MOST_WAITING);
  if (document.hidden) handOn(); // a page in the background draws no frames
  else frame ||= window.requestAnimationFrame(handOn);
}

function handOn(): void {
  window.cancelAnimationFrame(frame);
  frame = 0;
  const readings = waiting.map((line) => JSON.parse(line) as LiveReading);
  waiting = [];
  const now = Date.now();
  for (const reading of readings) {
    touched.add(reading.device_id);
    lastReadingAt = Math.max(lastReadingAt ?? 0, now - (reading.age_s ?? 0) * 1_000);
  }
  document.dispatchEvent(new CustomEvent<LiveReading[]>(READINGS, { detail: readings }));
  refreshSoon(REFRESH_MS);
}

function refreshSoon(wait: number): void {
  if (refreshTimer !== undefined && wait >= REFRESH_MS) return;
  window.clearTimeout(refreshTimer);
  refreshTimer = window.setTimeout(() => {
    refreshTimer = undefined;
    const [devices, changed] = [touched, topics];
    [touched, topics] = [new Set(), new Set()];
    refresh(devices, changed);
  }, wait);
}

/** Ask again for the parts that show alarms: the bell of the frame, and lists of alarms. */
function refreshAlarms(): void {
  document.querySelectorAll<HTMLElement>("[data-alarms]").forEach((part) => {
    const busy = part.contains(document.activeElement) && document.activeElement?.matches("input, textarea, select");
    if (!busy) htmx.trigger(part, "takt:alarm", {});
  });
}

/** Ask again for the parts that show these devices or topics (for all, when none are named). */
function refresh(devices: Set<number> | undefined, changed = new Set<string>()): void {
  isBehind = document.hidden || link === "lost";
  if (isBehind) return;
  document.querySelectorAll<HTMLElement>("[data-refresh], [data-refresh-on]").forEach((part) => {
    const concerned = !devices || showsDevice(part, devices) || (part.dataset["refreshOn"] ?? "").split(" ").some((topic) => changed.has(topic));
    if (concerned) ask(part);
  });
}

function ask(part: HTMLElement): void {
  // Someone is typing in it: their words come first.
  const busy = part.contains(document.activeElement) && document.activeElement instanceof HTMLInputElement;
  if (!busy) htmx.trigger(part, "takt:refresh", {});
}

/** Whether a part shows one of these devices; without a list it shows all of them. */
function showsDevice(part: HTMLElement, devices: Set<number>): boolean {
  const only = part.dataset["refresh"];
  if (only === undefined || devices.size === 0) return false;
  return only === "" || only.split(" ").some((id) => devices.has(Number(id)));
}

/** What changes by time alone (a silence) changes at a time that is known: ask once, then. */
function keepDeadline(): void {
  window.clearTimeout(deadlineTimer);
  const parts = [...document.querySelectorAll<HTMLElement>("[data-refresh-at]")];
  const next = Math.min(...parts.map((part) => Number(part.dataset["refreshAt"]) || Infinity));
  if (next === Infinity) return;
  const wait = Math.max(next * 1_000 - Date.now(), REFRESH_MS);
  deadlineTimer = window.setTimeout(() => refresh(undefined), Math.min(wait, 2_000_000_000));
}

function showLight(): void {
  const now = Date.now();
  if (link === "live" && lastReadingAt !== undefined && now - lastReadingAt > QUIET_MS) link = "quiet";
  document.body.dataset["link"] = link;
  document.querySelectorAll<HTMLElement>("[data-light]").forEach((light) => {
    light.dataset["state"] = link;
    const words = light.querySelector<HTMLElement>(".words");
    const text = lightWords(now);
    if (words && words.textContent !== text) words.textContent = text;
  });
  if (link !== "lost" || lostAt === undefined) return;
  const since = `Not live since ${clock(lostAt)}.`;
  document.querySelectorAll<HTMLElement>("[data-stale-since]").forEach((place) => {
    if (place.textContent !== since) place.textContent = since;
  });
}

function lightWords(now: number): string {
  if (link === "connecting") return "Connecting";
  if (link === "lost") return `Not live since ${clock(lostAt ?? now)}`;
  if (lastReadingAt === undefined) return "Live, waiting for a reading";
  return `Live, ${ago(now - lastReadingAt)}`;
}
