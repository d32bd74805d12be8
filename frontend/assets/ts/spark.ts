import { READINGS, type LiveReading } from "./live.ts";

const WIDTH = 220;
const HEIGHT = 44;
const KEPT = 60;

/** A small line of one device's first numeric signal, growing as readings come after data-at. */
export function startSpark(svg: HTMLElement): void {
  const device = Number(svg.dataset["spark"]);
  const points: number[] = (svg.dataset["points"] ?? "").split(" ").filter(Boolean).map(Number);
  let lastAt = Date.parse(svg.dataset["at"] ?? "") || 0;
  const draw = (): void => {
    const line = svg.querySelector("path");
    const dot = svg.querySelector("circle");
    if (!line || !dot || points.length < 2) return;
    const low = Math.min(...points);
    const span = Math.max(...points) - low || 1;
    const at = points.map((value, index) => [
      (index / (points.length - 1)) * (WIDTH - 6),
      HEIGHT - 6 - ((value - low) / span) * (HEIGHT - 12),
    ] as const);
    line.setAttribute("d", at.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join(""));
    const end = at.at(-1);
    dot.setAttribute("r", "3.5");
    dot.setAttribute("cx", String(end?.[0] ?? 0));
    dot.setAttribute("cy", String(end?.[1] ?? 0));
  };
  const listen = (event: Event): void => {
    if (!svg.isConnected) {
      document.removeEventListener(READINGS, listen);
      return;
    }
    const before = lastAt;
    for (const reading of (event as CustomEvent<LiveReading[]>).detail) {
      const value = reading.values[svg.dataset["key"] ?? ""];
      const at = Date.parse(reading.ts);
      if (reading.device_id !== device || typeof value !== "number" || at <= lastAt) continue;
      points.push(value);
      lastAt = at;
    }
    if (lastAt === before) return;
    points.splice(0, Math.max(0, points.length - KEPT));
    draw();
  };
  document.addEventListener(READINGS, listen);
  draw();
}
