/** Fetch ECharts only when the heat map comes into sight. */
export function startHeat(place: HTMLElement): void {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    void import("./heat.ts").then(({ heat }) => heat(place));
  });
  watch.observe(place);
}
