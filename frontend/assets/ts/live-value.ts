import type { LiveReading } from "./live.ts";
import { figure } from "./words.ts";

/** A figure that follows one signal: data-live-value="<device id>:<key>". */
export function startLiveValue(place: HTMLElement): void {
  const [device, key] = splitOnce(place.dataset["liveValue"] ?? "");
  const listen = (event: Event): void => {
    if (!place.isConnected) {
      document.removeEventListener("takt:reading", listen);
      return;
    }
    const reading = (event as CustomEvent<LiveReading>).detail;
    const value = reading.device_id === Number(device) ? reading.values[key] : undefined;
    if (value === undefined) return;
    place.textContent = typeof value === "number" ? figure(value) : words(value);
  };
  document.addEventListener("takt:reading", listen);
}

function words(value: boolean | string): string {
  return typeof value === "string" ? value : value ? "Yes" : "No";
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(":");
  return [text.slice(0, at), text.slice(at + 1)];
}
