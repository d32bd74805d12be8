import { areKeysOn } from "./keys.ts";
import { between, draw, painted, read, reshaped, within, type Region } from "./regions.ts";

type Tool = "" | "box" | "brush";

const STEP = 1 / 50; // of the longer side: how far an arrow moves a box
const NEW_BOX = 1 / 6; // of each side: a box that the keyboard places
const BRUSH = 1 / 60; // of the longer side
const HARDLY = 4; // pixels on the screen: a drag that is shorter draws nothing
const ARROWS: Readonly<Record<string, readonly [number, number]>> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Look at a picture and say what it shows, with the mouse, a finger, or the keyboard alone.
 *
 * What is marked is kept as JSON in the hidden field `regions` of the form, after each change.
 */
export function startLabelling(root: HTMLElement): void {
  const field = root.querySelector<SVGSVGElement>("svg[data-field]");
  const group = root.querySelector<SVGElement>("[data-drawn]");
  const form = root.querySelector<HTMLFormElement>("form");
  const kept = form?.querySelector<HTMLInputElement>("input[name=regions]");
  if (field && group && form && kept) new Labelling(root, field, group, form, kept).start();
}

class Labelling {
  private readonly size: { width: number; height: number };
  private regions: Region[];
  private chosen = -1;
  private tool: Tool = "";
  private past: string[] = [];
  private radius: number;
  private from: { x: number; y: number; left: number; top: number } | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly field: SVGSVGElement,
    private readonly group: SVGElement,
    private readonly form: HTMLFormElement,
    private readonly kept: HTMLInputElement,
  ) {
    this.size = { width: Number(root.dataset["width"]), height: Number(root.dataset["height"]) };
    this.radius = Math.max(2, Math.round(this.longer * BRUSH));
    this.regions = read(kept.value);
  }

  start(): void {
    this.field.addEventListener("pointerdown", (event) => this.down(event));
    this.field.addEventListener("pointermove", (event) => this.move(event));
    this.field.addEventListener("pointerup", (event) => this.up(event));
    this.field.addEventListener("pointercancel", () => (this.from = null));
    for (const button of this.root.querySelectorAll<HTMLElement>("[data-tool]")) {
      button.addEventListener("click", () => this.take(button.dataset["tool"] as Tool));
    }
    this.root.querySelector("[data-undo]")?.addEventListener("click", () => this.undo());
    this.root.querySelector("[data-remove]")?.addEventListener("click", () => this.remove());
    this.form.addEventListener("change", (event) => this.changed(event.target));
    const onKey = (event: KeyboardEvent): void => {
      if (!this.root.isConnected) document.removeEventListener("keydown", onKey);
      else if (this.key(event)) event.preventDefault();
    };
    document.addEventListener("keydown", onKey);
    draw(this.group, this.regions, this.chosen);
  }

  private get longer(): number {
    return Math.max(this.size.width, this.size.height);
  }

  // -- keys

  /** Do what a key says; return whether it was one of ours. */
  private key(event: KeyboardEvent): boolean {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (target.matches("textarea, select, input:not([type=radio], [type=checkbox])") || target.isContentEditable) return false;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") return this.undo();
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const arrow = ARROWS[event.key];
    if (arrow) return !target.matches("input") && this.arrow(arrow, event.shiftKey);
    if (event.key === "Enter") return !target.closest("a, button, summary") && this.save();
    if (event.key === "Delete" || event.key === "Backspace") return this.remove();
    if (event.key === "Escape") return this.take("");
    return event.key.length === 1 && this.letter(event.key.toLowerCase());
  }

  private letter(letter: string): boolean {
    if (!areKeysOn()) return false;
    if (letter === "b") return this.take("box");
    if (letter === "p") return this.take("brush");
    if (letter === "+" || letter === "-") return this.widen(letter === "+" ? 1.25 : 0.8);
    const shown = this.root.querySelector<HTMLInputElement>(`[data-show="${letter}"]`);
    if (shown) {
      shown.checked = !shown.checked;
      return true;
    }
    const radio = this.form.querySelector<HTMLInputElement>(`[data-letter="${CSS.escape(letter)}"]`);
    if (!radio) return false;
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    return true;
  }

  /** An arrow moves or sizes the chosen box, places a first one, or leaves the picture for later. */
  private arrow([x, y]: readonly [number, number], isSizing: boolean): boolean {
    if (this.tool !== "box") return x > 0 && this.later();
    const box = this.regions[this.chosen];
    if (!box || box.mask) {
      const width = Math.max(1, Math.round(this.size.width * NEW_BOX));
      const height = Math.max(1, Math.round(this.size.height * NEW_BOX));
      const place = { x: Math.round((this.size.width - width) / 2), y: Math.round((this.size.height - height) / 2) };
      this.add({ ...place, width, height });
      return true;
    }
    const step = Math.max(1, Math.round(this.longer * STEP));
    const by = isSizing ? { width: x * step, height: y * step } : { x: x * step, y: y * step };
    this.replace(reshaped(box, by, this.size));
    return true;
  }

  private later(): boolean {
    const next = this.root.dataset["next"];
    if (next) location.assign(next);
    return Boolean(next);
  }

  /** Save what was said; where nothing was, leave the picture for later. */
  private save(): boolean {
    if (!this.form.querySelector("input[name=label]:checked")) return this.later();
    this.form.requestSubmit(this.form.querySelector<HTMLElement>("[data-save]"));
    return true;
  }

  // -- pointers

  private at(event: PointerEvent): { x: number; y: number } {
    const matrix = this.field.getScreenCTM()?.inverse();
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
    return { x: within(point.x, 0, this.size.width), y: within(point.y, 0, this.size.height) };
  }

  private down(event: PointerEvent): void {
    if (!this.tool || !this.defect) return;
    event.preventDefault();
    this.field.setPointerCapture(event.pointerId);
    const { x, y } = this.at(event);
    this.from = { x, y, left: event.clientX, top: event.clientY };
    if (this.tool === "brush") this.stroke(x, y);
  }

  private move(event: PointerEvent): void {
    if (!this.from) return;
    const { x, y } = this.at(event);
    if (this.tool === "brush") {
      this.regions[this.chosen]?.strokes.at(-1)?.push(Math.round(x), Math.round(y));
      draw(this.group, this.regions, this.chosen);
    } else {
      const box = between(this.from.x, this.from.y, x, y, this.size);
      draw(this.group, [...this.regions, { ...this.blank, ...box }], this.regions.length);
    }
  }

  private up(event: PointerEvent): void {
    if (!this.from) return;
    const { x, y } = this.at(event);
    const { from } = this;
    this.from = null;
    if (this.tool === "brush") {
      const region = this.regions[this.chosen];
      if (region) this.put(painted(region, this.size));
    } else if (Math.hypot(event.clientX - from.left, event.clientY - from.top) >= HARDLY) {
      this.add(between(from.x, from.y, x, y, this.size));
    } else {
      this.choose(x, y);
    }
  }

  /** Begin a stroke: of the region that is being painted, or of a new one. */
  private stroke(x: number, y: number): void {
    this.remember();
    const current = this.regions[this.chosen];
    const start = [Math.round(x), Math.round(y)];
    if (current?.mask && current.defect === this.blank.defect && current.radius === this.radius) {
      this.regions[this.chosen] = { ...current, strokes: [...current.strokes, start] };
    } else {
      this.regions = [...this.regions, { ...this.blank, radius: this.radius, strokes: [start] }];
      this.chosen = this.regions.length - 1;
    }
    draw(this.group, this.regions, this.chosen);
  }

  private choose(x: number, y: number): void {
    this.chosen = this.regions.findIndex((one) => x >= one.x && y >= one.y && x <= one.x + one.width && y <= one.y + one.height);
    this.show();
  }

  // -- what is marked

  private get defect(): HTMLInputElement | null {
    return this.form.querySelector<HTMLInputElement>("input[name=defect]:checked");
  }

  private get blank(): Region {
    const { defect } = this;
    return { defect: defect?.value ?? "", name: defect?.dataset["name"] ?? "", x: 0, y: 0, width: 1, height: 1, strokes: [], radius: 0, mask: "" };
  }

  private add(box: { x: number; y: number; width: number; height: number }): void {
    if (!this.defect) return;
    this.remember();
    this.regions = [...this.regions, { ...this.blank, ...box }];
    this.chosen = this.regions.length - 1;
    this.store();
  }

  private replace(region: Region): void {
    this.remember();
    this.put(region);
  }

  private put(region: Region): void {
    this.regions = this.regions.map((one, place) => (place === this.chosen ? region : one));
    this.store();
  }

  private remove(): boolean {
    if (!this.regions.length) return false;
    const place = this.chosen >= 0 ? this.chosen : this.regions.length - 1;
    this.remember();
    this.regions = this.regions.filter((_, other) => other !== place);
    this.chosen = -1;
    this.store();
    return true;
  }

  private remember(): void {
    this.past.push(JSON.stringify(this.regions));
  }

  private undo(): boolean {
    const last = this.past.pop();
    if (last === undefined) return false;
    this.regions = read(last);
    this.chosen = Math.min(this.chosen, this.regions.length - 1);
    this.store();
    return true;
  }

  /** Keep what is marked in the form; a part with a marked defect is defective. */
  private store(): void {
    this.kept.value = JSON.stringify(this.regions);
    const bad = this.form.querySelector<HTMLInputElement>("input[name=label][value=defect]");
    if (this.regions.length && bad) bad.checked = true;
    this.kept.dispatchEvent(new Event("input", { bubbles: true }));
    this.show();
  }

  private show(): void {
    draw(this.group, this.regions, this.chosen);
    const said = this.root.querySelector<HTMLElement>("[data-said]");
    if (said) said.textContent = this.words();
  }

  private words(): string {
    const one = this.regions[this.chosen];
    const n = this.regions.length;
    const all = n === 1 ? "1 place marked" : `${n} places marked`;
    if (!one) return n ? `${all}.` : this.tool ? "Nothing is marked yet." : "";
    return `${all}. ${one.name} at ${one.x}, ${one.y}, ${one.width} by ${one.height} pixels.`;
  }

  // -- tools

  private take(tool: Tool): boolean {
    if (tool && !this.defect) return false;
    this.tool = tool === this.tool && this.chosen < 0 ? "" : tool;
    this.chosen = -1;
    this.field.dataset["tool"] = this.tool;
    for (const button of this.root.querySelectorAll<HTMLElement>("[data-tool]")) {
      if (button instanceof SVGElement) continue;
      button.setAttribute("aria-pressed", String(button.dataset["tool"] === this.tool && Boolean(this.tool)));
    }
    this.show();
    return true;
  }

  private widen(times: number): boolean {
    this.radius = within(Math.round(this.radius * times), 1, Math.round(this.longer / 8));
    return true;
  }

  private changed(target: EventTarget | null): void {
    if (!(target instanceof HTMLInputElement)) return;
    const region = this.regions[this.chosen];
    if (target.name === "defect" && region) this.replace({ ...region, defect: target.value, name: target.dataset["name"] ?? "" });
  }
}
