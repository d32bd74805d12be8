/** What somebody marked in a picture, in its pixels: boxes, and strokes of a brush. */
export interface Region {
  defect: string;
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
  /** Of a brush: lines of x, y, x, y; none for a box. */
  strokes: number[][];
  radius: number;
  /** A PNG of the whole picture, white where it was painted; empty for a box. */
  mask: string;
}

export interface Size {
  width: number;
  height: number;
}

const SVG = "http://www.w3.org/2000/svg";

export function within(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), Math.max(least, most));
}

/** Move and size a box, so that it stays inside the picture and has an area. */
export function reshaped(box: Region, by: { x?: number; y?: number; width?: number; height?: number }, size: Size): Region {
  const width = within(box.width + (by.width ?? 0), 1, size.width - box.x);
  const height = within(box.height + (by.height ?? 0), 1, size.height - box.y);
  const x = within(box.x + (by.x ?? 0), 0, size.width - width);
  const y = within(box.y + (by.y ?? 0), 0, size.height - height);
  return { ...box, x, y, width, height };
}

/** The box between two corners, in whole pixels. */
export function between(x1: number, y1: number, x2: number, y2: number, size: Size): { x: number; y: number; width: number; height: number } {
  const x = within(Math.floor(Math.min(x1, x2)), 0, size.width - 1);
  const y = within(Math.floor(Math.min(y1, y2)), 0, size.height - 1);
  const width = within(Math.ceil(Math.max(x1, x2)) - x, 1, size.width - x);
  const height = within(Math.ceil(Math.max(y1, y2)) - y, 1, size.height - y);
  return { x, y, width, height };
}

/** Give a painted region the box around its strokes, and its mask. */
export function painted(region: Region, size: Size): Region {
  const xs = region.strokes.flatMap((stroke) => stroke.filter((_, place) => place % 2 === 0));
  const ys = region.strokes.flatMap((stroke) => stroke.filter((_, place) => place % 2 === 1));
  const r = region.radius;
  const box = between(Math.min(...xs) - r, Math.min(...ys) - r, Math.max(...xs) + r, Math.max(...ys) + r, size);
  return { ...region, ...box, mask: maskOf(region, size) };
}

function maskOf(region: Region, size: Size): string {
  const canvas = document.createElement("canvas");
  canvas.width = size.width;
  canvas.height = size.height;
  const context = canvas.getContext("2d");
  if (!context) return "";
  context.fillStyle = "black";
  context.fillRect(0, 0, size.width, size.height);
  context.strokeStyle = "white";
  context.lineCap = "round";
  context.lineJoin = "round";
  context.lineWidth = 2 * region.radius;
  for (const stroke of region.strokes) {
    context.beginPath();
    context.moveTo(stroke[0] ?? 0, stroke[1] ?? 0);
    // A point alone is a line to itself: its round ends make a dot.
    for (let place = 0; place < stroke.length; place += 2) context.lineTo(stroke[place] ?? 0, stroke[place + 1] ?? 0);
    context.stroke();
  }
  return canvas.toDataURL("image/png");
}

/** Draw regions into a group of an SVG; the chosen one stands out. */
export function draw(group: SVGElement, regions: readonly Region[], chosen: number): void {
  group.replaceChildren(
    ...regions.map((region, place) => {
      const mark = element("g", { class: place === chosen ? "mark is-chosen" : "mark" });
      const box = { x: region.x, y: region.y, width: region.width, height: region.height };
      for (const stroke of region.strokes) {
        mark.append(element("polyline", { points: [...stroke, ...stroke.slice(-2)].join(" "), "stroke-width": 2 * region.radius }));
      }
      mark.append(element("rect", { ...box, class: "halo" }), element("rect", box));
      return mark;
    }),
  );
}

function element(tag: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  return made;
}

export function read(text: string): Region[] {
  try {
    return JSON.parse(text) as Region[];
  } catch {
    return [];
  }
}
