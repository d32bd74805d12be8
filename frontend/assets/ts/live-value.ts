import { READINGS, type LiveReading } from "./live.ts";
import { figure } from "./words.ts";

/** A figure that follows one signal: data-live-value="<device id>:<key>". */
export function startLiveValue(place: HTMLElement): void {
  const [device, key] = splitOnce(place.dataset["liveValue"] ?? "");
  const listen = (event: Event): void => {
    if (!place.isConnected) {
      document.removeEventListener(READINGS, listen);
      return;
    }
    const own = (event as CustomEvent<LiveReading[]>).detail.filter((reading) => reading.device_id === Number(device));
    const value = own.reverse().find((reading) => key in reading.values)?.values[key];
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
