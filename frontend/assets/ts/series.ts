import type uPlot from "uplot";

export interface Series {
  device: number;
  key: string;
  label: string;
  t: number[]; // seconds, ascending; a bucket without readings is absent
  avg: number[];
  min: number[];
  max: number[];
}

export interface Panel {
  unit: string;
  series: Series[];
}

export interface ChartData {
  start: number;
  end: number;
  live: boolean;
  bucket_s: number;
  panels: Panel[];
  gaps: [number, number][]; // spans in which nothing came, as the server judged them
}

/** Put the series of a panel on one time axis: [t, avg, min, max, avg, min, max, ...].
 *
 * A time at which a series has no value is `undefined` (the line goes on); inside a gap one
 * `null` breaks the line of every series.
 */
export function aligned(panel: Panel, gaps: [number, number][]): uPlot.AlignedData {
  const breaks = gaps.map(([from, to]) => (from + to) / 2);
  const times = [...new Set([...panel.series.flatMap((each) => each.t), ...breaks])].sort((a, b) => a - b);
  const index = new Map(times.map((time, at) => [time, at]));
  const columns = panel.series.flatMap((each) => {
    const trio = [each.avg, each.min, each.max].map((values) => {
      const column: (number | null | undefined)[] = new Array(times.length);
      each.t.forEach((time, at) => {
        column[index.get(time) ?? 0] = values[at];
      });
      for (const time of breaks) column[index.get(time) ?? 0] = null;
      return column;
    });
    return trio;
  });
  return [times, ...columns] as uPlot.AlignedData;
}
