/** Fetch the chart code only for pages that draw a chart. */
export function startChart(place: HTMLElement): void {
  void import("./machine-chart.ts").then(({ machineChart }) => machineChart(place));
}
