import uPlot from "uplot";
import { READINGS, RECONNECTED, type LiveReading } from "./live.ts";
import { aligned, type ChartData, type Panel } from "./series.ts";
import { panelOptions, showEnds } from "./uplot-panel.ts";
import { clock, figure, factoryZone } from "./words.ts";

const RELOAD_MS = 600_000; // then buckets of the server replace the single readings heard since
const DRAW_MS = 500;
const TICK_MS = 5_000; // "now" stays the right edge, also when nothing comes
const PATIENCE_MS = 20_000;

/** The chart of a machine: one panel a unit, on one time axis, as far as the server's JSON says. */
export function machineChart(place: HTMLElement): void {
  const url = place.dataset["chart"] ?? "";
  let data: ChartData | undefined;
  let plots: uPlot[] = [];
  let loadedAt = 0;
  let drawnAt = 0;
  let heard: LiveReading[] = []; // while the server's answer is under way, which may be without them
  let nUnderWay = 0;

  const draw = (): void => {
    if (!data) return;
    plots.forEach((plot) => plot.destroy());
    plots = build(place, data);
  };
  const load = async (): Promise<void> => {
    nUnderWay += 1;
    const found = await ask(url);
    nUnderWay -= 1;
    if (found) {
      heard.forEach((reading) => append(found, reading));
      data = found;
      draw();
    } else if (!data) fail(place);
    if (nUnderWay === 0) heard = [];
  };
  const again = (): void => {
    loadedAt = Date.now();
    void load();
  };
  const redraw = (): void => {
    if (!data) return;
    drawnAt = Date.now();
    const [start, end] = span(data);
    data.panels.forEach((panel, index) => {
      const plot = plots[index];
      if (!plot) return;
      plot.setData(aligned(panel, data?.gaps ?? []), false);
      plot.setScale("x", { min: start, max: end });
    });
  };
  const stopListening = whileShown(place, (readings) => {
    if (nUnderWay > 0) heard.push(...readings);
    if (!data) return;
    const shown = data;
    const isNew = readings.map((reading) => append(shown, reading)).includes(true);
    if (isNew && Date.now() - loadedAt > RELOAD_MS) again();
    else if (isNew && Date.now() - drawnAt > DRAW_MS) redraw();
  });

  const ticker = window.setInterval(() => {
    if (!place.isConnected) {
      window.clearInterval(ticker);
      stopListening();
      document.removeEventListener(RECONNECTED, again);
      plots.forEach((plot) => plot.destroy());
    } else if (data?.live) redraw();
  }, TICK_MS);
  document.addEventListener(RECONNECTED, again);
  new ResizeObserver(() => {
    plots.forEach((plot) => plot.setSize({ width: place.clientWidth, height: plot.height }));
  }).observe(place);
  document.addEventListener("takt:theme", draw);
  again();
}

/** Return what the server has; undefined where it does not answer, or not in time. */
async function ask(url: string): Promise<ChartData | undefined> {
  try {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(PATIENCE_MS) });
    return answer.ok ? ((await answer.json()) as ChartData) : undefined;
  } catch {
    return undefined;
  }
}

function build(place: HTMLElement, data: ChartData): uPlot[] {
  place.replaceChildren();
  const [start, end] = span(data);
  const readout = document.createElement("p");
  readout.className = "readout";
  let drawn = 0;
  const plots = data.panels.map((panel, index) => {
    const first = drawn;
    drawn += panel.series.length;
    const box = document.createElement("div");
    box.className = "panel-chart";
    place.append(title(panel), box);
    const isLast = index === data.panels.length - 1;
    const options = panelOptions({ panel, data, width: place.clientWidth, isLast, isOnly: data.panels.length === 1, first });
    options.hooks = { ...options.hooks, setCursor: [(plot) => tell(readout, plot, data)] };
    const plot = new uPlot(options, aligned(panel, data.gaps), box);
    plot.setScale("x", { min: start, max: end });
    showEnds(plot, panel, box, first);
    return plot;
  });
  place.append(readout);
  return plots;
}

function title(panel: Panel): HTMLElement {
  const line = document.createElement("p");
  line.className = "panel-title";
  line.append(panel.series.map((each) => each.label).join(", "), " ");
  const unit = document.createElement("span");
  unit.className = "dim";
  unit.textContent = panel.unit;
  line.append(unit);
  return line;
}

/** One line under the chart says what the cursor stands on, also for those who cannot see it move. */
function tell(readout: HTMLElement, plot: uPlot, data: ChartData): void {
  const left = plot.cursor.left ?? -1;
  if (left < 0) {
    readout.textContent = "";
    return;
  }
  const at = plot.posToVal(left, "x");
  const parts = data.panels.flatMap((panel) =>
    panel.series.map((each) => {
      const value = nearest(each.t, each.avg, at, data.bucket_s);
      return `${each.label} ${value === undefined ? "no data" : `${figure(value)} ${panel.unit}`}`;
    }),
  );
  const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: factoryZone });
  readout.textContent = `${day.format(at * 1000).replace(",", "")}, ${clock(at * 1000)}: ${parts.join(" · ")}`;
}

function nearest(times: number[], values: number[], at: number, bucket: number): number | undefined {
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  const index = low > 0 && at - (times[low - 1] ?? 0) < (times[low] ?? 0) - at ? low - 1 : low;
  const distance = Math.abs((times[index] ?? Number.POSITIVE_INFINITY) - at);
  return distance <= Math.max(bucket * 2, 120) ? values[index] : undefined;
}

function span(data: ChartData): [number, number] {
  if (!data.live) return [data.start, data.end];
  const now = Date.now() / 1000;
  return [now - (data.end - data.start), now];
}

function append(data: ChartData, reading: LiveReading): boolean {
  if (!data.live) return false;
  const at = Date.parse(reading.ts) / 1000;
  let changed = false;
  for (const panel of data.panels) {
    for (const each of panel.series) {
      const value = reading.values[each.key];
      if (each.device !== reading.device_id || typeof value !== "number" || at <= (each.t.at(-1) ?? 0)) continue;
      for (const column of [each.avg, each.min, each.max]) column.push(value);
      each.t.push(at);
      changed = true;
    }
  }
  return changed;
}

function whileShown(place: HTMLElement, use: (readings: LiveReading[]) => void): () => void {
  const listen = (event: Event): void => {
    if (place.isConnected) use((event as CustomEvent<LiveReading[]>).detail);
  };
  document.addEventListener(READINGS, listen);
  return () => document.removeEventListener(READINGS, listen);
}

function fail(place: HTMLElement): void {
  const note = document.createElement("p");
  note.className = "sub";
  note.textContent = "The chart could not be loaded. Readings go on being stored; reload the page to try again.";
  place.replaceChildren(note);
}

