import { HeatmapChart } from "echarts/charts";
import { AriaComponent, GridComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { token } from "./colours.ts";
import { figure } from "./words.ts";

use([HeatmapChart, GridComponent, TooltipComponent, VisualMapComponent, AriaComponent, CanvasRenderer]);

interface HeatData {
  days: string[];
  /** [hour 0..23, index of the day, readings]; hours without readings are absent, not zero. */
  cells: [number, number, number][];
}

/** Readings by day and hour. The data lies in the page, in the element that data-heat names. */
export function heat(place: HTMLElement): void {
  const source = document.getElementById(place.dataset["heat"] ?? "");
  const data = JSON.parse(source?.textContent ?? "null") as HeatData | null;
  if (!data) return;
  const chart = init(place, null, { renderer: "canvas" });
  const draw = (): void => {
    const text = { color: token("ink-3"), fontFamily: "Inter Variable", fontSize: 12 };
    const hours = Array.from({ length: 24 }, (_, hour) => String(hour).padStart(2, "0"));
    chart.setOption({
      animation: false,
      aria: { enabled: false },
      grid: { left: 84, right: 8, top: 4, bottom: 24 },
      xAxis: { type: "category", data: hours, axisLabel: { ...text, interval: 2 }, axisTick: { show: false }, axisLine: { show: false } },
      yAxis: { type: "category", data: data.days, inverse: true, axisLabel: text, axisTick: { show: false }, axisLine: { show: false } },
      visualMap: {
        show: false,
        min: 0,
        max: Math.max(1, ...data.cells.map((cell) => cell[2])),
        inRange: { color: [token("accent-wash"), token("series-1")] },
      },
      // Drawn on the canvas: the HTML form would set style attributes, which the page's policy refuses.
      tooltip: {
        renderMode: "richText",
        backgroundColor: token("surface"),
        borderColor: token("line-2"),
        textStyle: { ...text, color: token("ink") },
        formatter: (item: unknown) => {
          const [hour, day, n] = (item as { value: [number, number, number] }).value;
          return `${data.days[day] ?? ""}, ${hours[hour] ?? ""}:00: ${figure(n)} readings`;
        },
      },
      series: [{ type: "heatmap", data: data.cells, itemStyle: { borderColor: token("surface"), borderWidth: 2, borderRadius: 3 } }],
    });
  };
  draw();
  document.addEventListener("takt:theme", draw);
  new ResizeObserver(() => chart.resize()).observe(place);
}
