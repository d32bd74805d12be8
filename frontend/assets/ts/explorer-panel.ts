import uPlot from "uplot";
import { faded, token } from "./colours.ts";
import { aligned, common, gapsNow, type Line, type Signal } from "./explorer-lines.ts";
import type { View } from "./explorer-view.ts";
import { DASHES, colour, hatch, LEFT, lines as styles, RIGHT, roomy, showEnds } from "./uplot-panel.ts";
import { factoryZone, mark } from "./words.ts";

export interface PanelPlan {
  unit: string;
  scale: string;
  signals: Signal[];
}

export interface Happening {
  start: number;
  end: number | null;
  kind: string;
  label: string;
  path: string;
  when: string;
}

/** What a panel needs to know of the chart that it is part of. */
export interface Surroundings {
  view(): View;
  events(): Happening[];
  bounds(scale: string): [number, number] | undefined; // shared by small multiples
  moved(plot: uPlot): void;
}

const EMPTY: Line = { raw: false, t: [], avg: [], min: [], max: [], gaps: [] };
const KINDS: Record<string, string> = { stop: "Stop", failure: "Failure", model: "Model", revision: "Revised", alarm: "Alarm" };

/** One scale with up to four lines on the common time axis. */
export class ExplorerPanel {
  readonly box = document.createElement("div");
  lines: Line[];
  bucket = 1;
  loaded = ""; // the view that its lines were asked for
  isStale = false;
  isSeen = false;
  private plot: uPlot | undefined;
  private readonly ends: { unit: string; series: { label: string; t: number[]; avg: number[] }[] };

  constructor(
    readonly plan: PanelPlan,
    private readonly place: { first: number; isTop: boolean; isBottom: boolean; height: number },
    private readonly around: Surroundings,
  ) {
    this.lines = plan.signals.map(() => ({ ...EMPTY }));
    this.ends = { unit: plan.unit, series: plan.signals.map((signal) => ({ label: signal.label.split(",")[0] ?? "", t: [], avg: [] })) };
    this.box.className = "panel-chart is-waiting";
    this.box.style.minHeight = `${this.height}px`;
  }

  title(): HTMLElement {
    const line = document.createElement("p");
    line.className = "panel-title";
    this.plan.signals.forEach((signal, index) => {
      const name = document.createElement("span");
      name.className = `key-line e${((this.place.first + index) % 4) + 1}`;
      name.textContent = signal.label;
      line.append(name);
    });
    const unit = document.createElement("span");
    unit.className = "dim";
    unit.textContent = this.plan.unit;
    line.append(unit);
    return line;
  }

  /** Draw what is known now; makes the drawing when it is first needed. */
  draw(): void {
    const { start, end } = this.around.view();
    this.lines.forEach((line, index) => {
      const series = this.ends.series[index];
      if (series) [series.t, series.avg] = [line.t, line.avg];
    });
    const shown = this.lines.map((line) => ({ ...line, gaps: gapsNow(line, this.bucket, end) }));
    if (!this.plot) {
      this.plot = new uPlot(this.options(), aligned(shown), this.box);
      showEnds(this.plot, this.ends, this.box, this.place.first);
      this.plot.setScale("x", { min: start, max: end });
      return;
    }
    this.plot.batch((plot: uPlot) => {
      plot.setData(aligned(shown), false);
      plot.setScale("x", { min: start, max: end });
    });
  }

  /** Move what is drawn to where the view is; costs no new data. */
  follow(): void {
    const { start, end } = this.around.view();
    this.plot?.setScale("x", { min: start, max: end });
  }

  forget(): void {
    this.plot?.destroy();
    this.plot = undefined;
    this.box.replaceChildren();
  }

  resize(): void {
    this.plot?.setSize({ width: this.box.clientWidth, height: this.height });
  }

  timeAt(clientX: number): number | undefined {
    if (!this.plot) return undefined;
    return this.plot.posToVal(clientX - this.plot.over.getBoundingClientRect().left, "x");
  }

  get width(): number {
    return this.plot ? this.plot.over.clientWidth : this.box.clientWidth - LEFT - RIGHT;
  }

  showCursor(left: number): void {
    this.plot?.setCursor({ left, top: 10 });
  }

  private get height(): number {
    return this.place.height + (this.place.isBottom ? 26 : 0);
  }

  private options(): uPlot.Options {
    const { first, isTop, isBottom } = this.place;
    const narrow = this.box.clientWidth < 520;
    const axis = { stroke: () => token("ink-3"), grid: { stroke: () => token("grid"), width: 1 }, ticks: { show: false }, font: "12px Inter Variable" };
    return {
      width: this.box.clientWidth,
      height: this.height,
      padding: [10, narrow ? 64 : RIGHT, isBottom ? 0 : 6, 0],
      legend: { show: false },
      cursor: { sync: { key: "explorer" }, y: false, drag: { x: false, y: false, setScale: false }, points: { size: 7 } },
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), factoryZone),
      scales: {
        x: { time: true, range: (_plot, low, high) => [low, high] },
        y: { range: (plot, low, high) => roomy(plot, ...(this.around.bounds(this.plan.scale) ?? ([low, high] as const))) },
      },
      axes: [
        { ...axis, size: isBottom ? 28 : 0, values: isBottom ? times : () => [], space: narrow ? 64 : 84 },
        { ...axis, size: LEFT, values: (_plot, marks) => marks.map(mark), space: 36 },
      ],
      series: [{}, ...this.lines.flatMap((_line, index) => styles(first + index, DASHES[index] ?? []))],
      bands: this.lines.map((_line, index) => ({
        series: [3 + index * 3, 2 + index * 3] as [number, number],
        fill: () => faded(colour(first + index), 0.16),
      })),
      hooks: {
        drawClear: [
          (plot) => happenings(plot, this.around.events(), isTop),
          (plot) => hatch(plot, { ...this.around.view(), gaps: this.emptiness() }, isTop),
        ],
        setCursor: [(plot) => this.around.moved(plot)],
      },
    };
  }

  private emptiness(): [number, number][] {
    const { end } = this.around.view();
    return common(this.lines.map((line) => gapsNow(line, this.bucket, end)));
  }
}

/** Events as dotted verticals with a word, stretches as a pale band, behind the lines. */
function happenings(plot: uPlot, events: Happening[], label: boolean): void {
  const { ctx } = plot;
  const { left: edge, top, height, width } = plot.bbox;
  const ratio = window.devicePixelRatio || 1;
  let free = edge;
  ctx.save();
  ctx.beginPath();
  ctx.rect(edge, top, width, height);
  ctx.clip();
  for (const event of events) {
    const left = plot.valToPos(event.start, "x", true);
    const right = event.end === null ? left : plot.valToPos(event.end, "x", true);
    if (right < edge || left > edge + width) continue;
    if (event.end !== null) {
      ctx.fillStyle = faded(token("planned"), 0.14);
      ctx.fillRect(left, top, Math.max(right - left, ratio), height);
    }
    ctx.strokeStyle = token("ink-3");
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(left, top);
    ctx.lineTo(left, top + height);
    ctx.stroke();
    const word = KINDS[event.kind] ?? event.kind;
    ctx.font = `12px Inter Variable`.replace("12", String(12 * ratio));
    const from = Math.max(left, edge) + 4 * ratio;
    if (label && from > free) {
      ctx.fillStyle = token("ink-2");
      ctx.fillText(word, from, top + 12 * ratio);
      free = from + ctx.measureText(word).width + 8 * ratio;
    }
  }
  ctx.restore();
}

const format = (options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat => new Intl.DateTimeFormat("en-GB", { ...options, timeZone: factoryZone });
const month = format({ month: "short", year: "numeric" });
const date = format({ weekday: "short", day: "numeric", month: "short" });
const minute = format({ hour: "2-digit", minute: "2-digit" });
const second = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Ticks say as much as their distance needs: seconds, times of day, days, months. */
function times(_plot: uPlot, marks: number[], _axis: number, _space: number, step: number): string[] {
  return marks.map((mark) => {
    const at = mark * 1000;
    if (step >= 86_400 * 27) return month.format(at);
    if (step >= 86_400) return date.format(at).replace(",", "");
    const time = (step >= 60 ? minute : second).format(at);
    return time === "00:00" ? date.format(at).replace(",", "") : time;
  });
}
