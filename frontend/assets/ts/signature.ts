const WIDTH = 600;
const HEIGHT = 200;
const CLOSEST = 3; // of the field's units: nearer points say nothing
const SVG = "http://www.w3.org/2000/svg";

/** Draw a signature with a finger, a pen or a mouse; what is sent are numbers, not a picture. */
export function startSignature(form: HTMLElement): void {
  const field = form.querySelector<SVGSVGElement>("svg[data-field]");
  const kept = form.querySelector<HTMLInputElement>("input[name=strokes]");
  if (!field || !kept) return;
  let strokes = read(kept.value);
  let current: number[] | null = null;

  const draw = (): void => {
    field.replaceChildren(
      ...strokes.map((stroke) => {
        const line = document.createElementNS(SVG, "polyline");
        line.setAttribute("points", stroke.join(" "));
        return line;
      }),
    );
  };
  const store = (): void => {
    kept.value = JSON.stringify(strokes);
    kept.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const add = (event: PointerEvent): void => {
    if (!current) return;
    const box = field.getBoundingClientRect();
    const x = within(((event.clientX - box.left) / box.width) * WIDTH, WIDTH);
    const y = within(((event.clientY - box.top) / box.height) * HEIGHT, HEIGHT);
    const [lastX = -WIDTH, lastY = -HEIGHT] = current.slice(-2);
    if (Math.hypot(x - lastX, y - lastY) < CLOSEST) return;
    current.push(x, y);
    draw();
  };

  field.addEventListener("pointerdown", (event) => {
    field.setPointerCapture(event.pointerId);
    current = [];
    strokes.push(current);
    add(event);
  });
  field.addEventListener("pointermove", add);
  for (const end of ["pointerup", "pointercancel"]) {
    field.addEventListener(end, () => {
      if (current) store();
      current = null;
    });
  }
  form.querySelector("[data-clear]")?.addEventListener("click", () => {
    strokes = [];
    draw();
    store();
  });
  draw();
}

function within(value: number, most: number): number {
  return Math.min(most, Math.max(0, Math.round(value)));
}

function read(text: string): number[][] {
  try {
    return JSON.parse(text) as number[][];
  } catch {
    return [];
  }
}
