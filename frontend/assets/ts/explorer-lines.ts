import type uPlot from "uplot";
import type { LiveReading } from "./live.ts";

/** One signal as the server sent it; `min` and `max` are empty where each point is a reading. */
export interface Line {
  raw: boolean;
  t: number[];
  avg: number[];
  min: number[];
  max: number[];
  gaps: [number, number][];
}

export interface Signal {
  id: number;
  device: number;
  key: string;
  label: string;
  scale: number;
}

const SILENCE_S = 300;
const MOST_POINTS = 4_000;

/** Put lines on one time axis: [t, avg, min, max, avg, min, max, ...].
 *
 * Where another line has a time and this one has none it goes on (`undefined`); within its own
 * gap it has nothing at any time (`null`), since the drawing breaks from one time to the next.
 */
export function aligned(lines: Line[]): uPlot.AlignedData {
  const breaks = lines.flatMap((line) => line.gaps.map(([from, to]) => (from + to) / 2));
  const times = Float64Array.from(new Set([...lines.flatMap((line) => line.t), ...breaks])).sort();
  const columns = lines.flatMap((line) => {
    const places = spread(times, line.t);
    return [line.avg, line.raw ? line.avg : line.min, line.raw ? line.avg : line.max].map((values) => {
      const column: (number | null | undefined)[] = new Array(times.length).fill(undefined);
      places.forEach((place, at) => (column[place] = values[at]));
      for (const [from, to] of line.gaps) column.fill(null, firstFrom(times, from, line.raw), firstFrom(times, to, false));
      return column;
    });
  });
  return [times, ...columns] as unknown as uPlot.AlignedData;
}

/** The first place at or after a time; after it, where the time itself still has a point. */
function firstFrom(times: Float64Array, at: number, isAfter: boolean): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  return isAfter && times[low] === at ? low + 1 : low;
}

/** Where each of some ascending times stands among all of them. */
function spread(all: Float64Array, some: number[]): number[] {
  let place = 0;
  return some.map((time) => {
    while (all[place] !== time) place += 1;
    return place;
  });
}

/** Take in a reading that was just announced; buckets grow instead of multiplying. */
export function append(line: Line, signal: Signal, reading: LiveReading, bucket: number): boolean {
  const sent = reading.values[signal.key];
  const at = Date.parse(reading.ts) / 1000;
  const last = line.t.length - 1;
  if (reading.device_id !== signal.device || sent === undefined || typeof sent === "string") return false;
  if (at <= (line.t[last] ?? 0)) return false;
  const value = Number(sent) * signal.scale;
  const open = line.gaps.at(-1);
  if (open && open[1] > at) {
    if (at - open[0] > SILENCE_S) open[1] = at;
    else line.gaps.pop();
  }
  if (!line.raw && last >= 0 && at < (line.t[last] ?? 0) + bucket / 2) {
    line.min[last] = Math.min(line.min[last] ?? value, value);
    line.max[last] = Math.max(line.max[last] ?? value, value);
    return true;
  }
  // The middle of its bucket, as the server names buckets in the answer.
  line.t.push(line.raw ? at : at + bucket / 2);
  for (const column of line.raw ? [line.avg] : [line.avg, line.min, line.max]) column.push(value);
  if (line.t.length > MOST_POINTS) {
    for (const column of [line.t, line.avg, line.min, line.max]) column.splice(0, MOST_POINTS / 4);
  }
  return true;
}

/** The gaps of a line as they are now: a silence that goes on grows with the clock. */
export function gapsNow(line: Line, bucket: number, end: number): [number, number][] {
  const last = line.t.at(-1);
  if (last === undefined || end - last <= Math.max(SILENCE_S, 2.5 * bucket)) return line.gaps;
  const closed = line.gaps.filter(([, to]) => to <= last);
  return [...closed, [last + (line.raw ? 0 : bucket / 2), end]];
}

/** The spans in which none of the lines has anything. */
export function common(gaps: [number, number][][]): [number, number][] {
  return gaps.reduce((left, right) =>
    left.flatMap(([from, to]) =>
      right
        .map(([other, end]): [number, number] => [Math.max(from, other), Math.min(to, end)])
        .filter(([start, end]) => start < end),
    ),
  );
}

/** The value of a line at a time, or nothing where no point is near. */
export function valueAt(line: Line, at: number, near: number): number | undefined {
  let low = 0;
  let high = line.t.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((line.t[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  const index = low > 0 && at - (line.t[low - 1] ?? 0) < (line.t[low] ?? 0) - at ? low - 1 : low;
  const distance = Math.abs((line.t[index] ?? Number.POSITIVE_INFINITY) - at);
  return distance <= near ? line.avg[index] : undefined;
}
