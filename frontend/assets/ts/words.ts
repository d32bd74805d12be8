/** Times and numbers as the server writes them: 24 h, factory's zone, a space before the unit. */

export const factoryZone: string = document.documentElement.dataset["tz"] || "UTC";

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: factoryZone });

export function clock(at: number): string {
  return clockFormat.format(at);
}

const dayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: factoryZone });
const yearFormat = new Intl.DateTimeFormat("en-GB", { year: "numeric", timeZone: factoryZone });
const secondFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: factoryZone });

/** A time as briefly as it stays clear: Tue 17 Nov, 10:28:07; with its year where that is another. */
export function moment(at: number): string {
  const year = yearFormat.format(at);
  const other = year === yearFormat.format(Date.now()) ? "" : ` ${year}`;
  return `${dayFormat.format(at).replace(",", "")}${other}, ${secondFormat.format(at)}`;
}

export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return `${Math.floor(seconds / 3600)} h ago`;
}

export function length(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 && hours < 10 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

// Making a format takes as long as using it a hundred times.
const formats = [0, 1, 2, 3].map((digits) => new Intl.NumberFormat("en-GB", { maximumFractionDigits: digits, minimumFractionDigits: 0 }));
const anyFormat = new Intl.NumberFormat("en-GB");

/** About four digits: more than that nobody reads, and few sensors know. */
export function figure(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 1000 || Number.isInteger(value) ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  return formats[digits]?.format(value) ?? String(value);
}

/** A tick of a scale, as exact as it is. */
export function mark(value: number): string {
  return anyFormat.format(value);
}
