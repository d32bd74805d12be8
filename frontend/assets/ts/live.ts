import htmx from "htmx.org";
import { ago, clock } from "./words.ts";

/** What the factory's stream announces after each commit. */
export interface LiveReading {
  device_id: number;
  ts: string;
  values: Record<string, number | boolean | string>;
  n: number;
}

type Link = "connecting" | "live" | "quiet" | "lost";

const GRACE_MS = 4_000; // a reconnect within this time is nobody's business
const RETRY_MS = 5_000;
const REFRESH_MS = 4_000; // parts that the server draws are asked for at most this often
const AGEING_MS = 30_000; // and at least this often: silence changes a state too
const QUIET_MS = 60_000;

let lastReadingAt: number | undefined;
let lostAt: number | undefined;
let link: Link = "connecting";
let source: EventSource | undefined;
let graceTimer: number | undefined;
let retryTimer: number | undefined;
let refreshTimer: number | undefined;
let touched = new Set<number>();

/** The page's one event stream: tells the other modules, keeps the light honest. */
export function startLive(url: string): void {
  connect(url);
  window.setInterval(showLight, 1_000);
  window.setInterval(() => refresh(undefined), AGEING_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh(undefined);
  });
  // A stream that stays open keeps the browser from leaving the page at once.
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) connect(url);
  });
}

function connect(url: string): void {
  source?.close();
  const stream = new EventSource(url);
  source = stream;
  stream.addEventListener("open", () => {
    window.clearTimeout(graceTimer);
    graceTimer = undefined;
    const wasLost = link === "lost";
    lostAt = undefined;
    link = "live";
    showLight();
    if (wasLost) refresh(undefined);
    if (wasLost) refreshAlarms();
  });
  stream.addEventListener("reading", (event) => heard(JSON.parse((event as MessageEvent<string>).data) as LiveReading));
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

function heard(reading: LiveReading): void {
  lastReadingAt = Date.now();
  if (link !== "lost") link = "live";
  document.dispatchEvent(new CustomEvent<LiveReading>("takt:reading", { detail: reading }));
  touched.add(reading.device_id);
  refreshTimer ??= window.setTimeout(() => {
    refreshTimer = undefined;
    const devices = touched;
    touched = new Set();
    refresh(devices);
  }, REFRESH_MS);
  showLight();
}

/** Ask again for the parts that show alarms: the bell of the frame, and lists of alarms. */
function refreshAlarms(): void {
  document.querySelectorAll<HTMLElement>("[data-alarms]").forEach((part) => {
    const busy = part.contains(document.activeElement) && document.activeElement?.matches("input, textarea, select");
    if (!busy) htmx.trigger(part, "takt:alarm", {});
  });
}

/** Ask again for the parts that show these devices (for all parts, when none are named). */
function refresh(devices: Set<number> | undefined): void {
  if (document.hidden || link === "lost") return;
  document.querySelectorAll<HTMLElement>("[data-refresh]").forEach((part) => {
    const only = part.dataset["refresh"];
    const concerned = !devices || !only || only.split(" ").some((id) => devices.has(Number(id)));
    // Someone is typing in it: their words come first.
    const busy = part.contains(document.activeElement) && document.activeElement instanceof HTMLInputElement;
    if (concerned && !busy) htmx.trigger(part, "takt:refresh", {});
  });
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
