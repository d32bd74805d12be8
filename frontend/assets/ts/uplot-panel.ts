import uPlot from "uplot";
import { faded, token } from "./colours.ts";
import type { ChartData, Panel } from "./series.ts";
import { factoryZone, figure, length, mark } from "./words.ts";

/** Room at the right of each panel for the name and the value of its lines. */
export const RIGHT = 96;
export const LEFT = 52;
export const DASHES: number[][] = [[], [6, 4], [2, 3], [8, 3, 2, 3]];

export function panelOptions(given: { panel: Panel; data: ChartData; width: number; isLast: boolean; isOnly: boolean; first: number }): uPlot.Options {
  const { panel, data, width, isLast, isOnly, first } = given;
  const narrow = width < 520;
  const axis = {
    stroke: () => token("ink-3"),
    grid: { stroke: () => token("grid"), width: 1 },
    ticks: { show: false },
    font: "12px Inter Variable",
  };
  return {
    width,
    height: (isOnly ? 300 : 170) + (isLast ? 26 : 0),
    padding: [10, narrow ? 64 : RIGHT, isLast ? 0 : 6, 0],
    legend: { show: false },
    cursor: { sync: { key: "machine" }, y: false, drag: { x: false, y: false }, points: { size: 7 } },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), factoryZone),
    scales: { x: { time: true, range: (_plot, low, high) => [low, high] }, y: { range: roomy } },
    axes: [
      { ...axis, size: isLast ? 28 : 0, values: isLast ? hours(data.end - data.start) : () => [], space: narrow ? 56 : 72 },
      { ...axis, size: LEFT, values: (_plot, marks) => marks.map(mark), space: 36 },
    ],
    series: [{}, ...panel.series.flatMap((_each, index) => lines(first + index, DASHES[index] ?? []))],
    bands: panel.series.map((_each, index) => ({
      series: [3 + index * 3, 2 + index * 3] as [number, number],
      fill: () => faded(colour(first + index), 0.16),
    })),
    hooks: { drawClear: [(plot) => hatch(plot, data, panel === data.panels[0])] },
  };
}

/** Average as the line; minimum and maximum without a line, as the edges of the band. */
export function lines(index: number, dash: number[]): uPlot.Series[] {
  const edge: uPlot.Series = { width: 0, points: { show: false }, stroke: "transparent", spanGaps: false };
  const average: uPlot.Series = {
    width: 1.75,
    dash,
    stroke: () => colour(index),
    points: { show: false },
    spanGaps: false,
  };
  return [average, edge, { ...edge }];
}

/** Colours are counted through all panels, so that no two lines of a chart share one. */
export function colour(index: number): string {
  return token(`series-${(index % 4) + 1}`);
}

export function roomy(_plot: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  if (low === null || high === null) return [0, 1];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  // Never draw below nought what is never below nought.
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function hours(spanSeconds: number): uPlot.Axis.Values {
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: factoryZone });
  const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: factoryZone });
  return (_plot, marks) =>
    marks.map((mark) => {
      const time = clock.format(mark * 1000);
      if (spanSeconds <= 26 * 3600 && time !== "00:00") return time;
      return time === "00:00" ? day.format(mark * 1000).replace(",", "") : spanSeconds <= 3 * 86400 ? time : "";
    });
}

/** Hatch the spans in which nothing came, through the whole panel, and say how long they were. */
export function hatch(plot: uPlot, data: { start: number; end: number; gaps: [number, number][] }, label: boolean): void {
  const { ctx } = plot;
  const { top, height } = plot.bbox;
  const ratio = window.devicePixelRatio || 1;
  const [scaleLow, scaleHigh] = [plot.scales["x"]?.min ?? data.start, plot.scales["x"]?.max ?? data.end];
  for (const [from, to] of data.gaps) {
    if (to <= scaleLow || from >= scaleHigh) continue;
    const left = plot.valToPos(Math.max(from, scaleLow), "x", true);
    const right = plot.valToPos(Math.min(to, scaleHigh), "x", true);
    ctx.fillStyle = hatching(ctx, ratio);
    ctx.fillRect(left, top, right - left, height);
    if (label) gapLabel(ctx, { middle: (left + right) / 2, top, text: `No data ${length(to - from)}`, room: right - left, ratio });
  }
}

const hatchings = new Map<string, CanvasPattern | string>();

/** Slanted lines as a pattern: painted once, where hundreds of strokes would be drawn each time. */
function hatching(ctx: CanvasRenderingContext2D, ratio: number): CanvasPattern | string {
  const colour = token("hatch");
  const key = `${colour} ${ratio}`;
  const made = hatchings.get(key);
  if (made) return made;
  const tile = document.createElement("canvas");
  const size = (tile.width = tile.height = Math.round(6 * ratio));
  const pen = tile.getContext("2d");
  if (!pen) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = ratio;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  const pattern = ctx.createPattern(tile, "repeat") ?? colour;
  hatchings.set(key, pattern);
  return pattern;
}

function gapLabel(ctx: CanvasRenderingContext2D, at: { middle: number; top: number; text: string; room: number; ratio: number }): void {
  ctx.save();
  ctx.font = `550 ${12 * at.ratio}px Inter Variable`;
  const width = ctx.measureText(at.text).width + 10 * at.ratio;
  if (width < at.room * 6) {
    ctx.fillStyle = token("surface");
    ctx.fillRect(at.middle - width / 2, at.top + 8 * at.ratio, width, 20 * at.ratio);
    ctx.fillStyle = token("ink-2");
    ctx.textAlign = "center";
    ctx.fillText(at.text, at.middle, at.top + 22 * at.ratio);
  }
  ctx.restore();
}

/** A line as far as its end is concerned. */
interface Ended {
  label: string;
  t: number[];
  avg: number[];
}

/** Each line ends in a dot with its name, value and unit, instead of a legend box. */
export function showEnds(plot: uPlot, panel: { unit: string; series: Ended[] }, box: HTMLElement, first: number): void {
  const ends = document.createElement("div");
  ends.className = "ends";
  const labels = panel.series.map((each, index) => {
    const label = document.createElement("div");
    label.className = `e${((first + index) % 4) + 1}`;
    label.append(document.createElement("b"), panel.series.length > 1 ? each.label : panel.unit);
    ends.append(label);
    return label;
  });
  box.append(ends);
  const place = (): void => {
    const taken: number[] = [];
    panel.series.forEach((each, index) => {
      const label = labels[index];
      const value = each.avg.at(-1);
      if (!label || value === undefined) return;
      const at = each.t.at(-1) ?? 0;
      // A line that ended long ago has no "now": its last value stays, in grey, with no dot.
      label.classList.toggle("old", (plot.scales["x"]?.max ?? at) - at > 900);
      const name = label.querySelector("b");
      if (name) name.textContent = figure(value);
      let y = plot.valToPos(value, "y") + plot.bbox.top / (window.devicePixelRatio || 1) - 10;
      while (taken.some((other) => Math.abs(other - y) < 34)) y += 6;
      taken.push(y);
      label.style.top = `${y}px`;
    });
    ends.style.width = `${plot.width < 520 ? 64 : RIGHT}px`;
  };
  const hooks = (plot.hooks.draw ??= []);
  hooks.push(place, () => dots(plot, panel, first));
  place();
}

function dots(plot: uPlot, panel: { series: Ended[] }, first: number): void {
  panel.series.forEach((each, index) => {
    const value = each.avg.at(-1);
    const at = each.t.at(-1);
    if (value === undefined || at === undefined) return;
    if ((plot.scales["x"]?.max ?? at) - at > 900) return;
    plot.ctx.beginPath();
    plot.ctx.fillStyle = colour(first + index);
    plot.ctx.arc(plot.valToPos(at, "x", true), plot.valToPos(value, "y", true), 4 * (window.devicePixelRatio || 1), 0, 7);
    plot.ctx.fill();
  });
}
