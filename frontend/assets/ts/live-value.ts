import { READINGS, type LiveReading } from "./live.ts";
import { figure } from "./words.ts";

/** A figure that follows one signal: data-live-value="<device id>:<key>", measured at data-at. */
export function startLiveValue(place: HTMLElement): void {
  const [device, key] = splitOnce(place.dataset["liveValue"] ?? "");
  let shownAt = Date.parse(place.dataset["at"] ?? "") || 0;
  const listen = (event: Event): void => {
    if (!place.isConnected) {
      document.removeEventListener(READINGS, listen);
      return;
    }
    let value: number | boolean | string | undefined;
    for (const reading of (event as CustomEvent<LiveReading[]>).detail) {
      const at = Date.parse(reading.ts);
      if (reading.device_id !== Number(device) || !(key in reading.values) || at < shownAt) continue;
      value = reading.values[key];
      shownAt = at;
    }
    if (value === undefined) return;
    place.textContent = typeof value === "number" ? figure(value) : words(value);
  };
  document.addEventListener(READINGS, listen);
}

function words(value: boolean | string): string {
  return typeof value === "string" ? value : value ? "Yes" : "No";
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(":");
  return [text.slice(0, at), text.slice(at + 1)];
}
