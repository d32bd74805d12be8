import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

interface IconSet {
  icons: Record<string, { body: string }>;
  aliases?: Record<string, { parent: string }>;
}

/** One SVG file with every icon that is named in icons.txt (Tabler outline) and our own shapes. */
export function sprite(options: { icons: string; shapes: string; set: string }): Plugin {
  return {
    name: "takt-sprite",
    buildStart() {
      this.addWatchFile(options.icons);
      this.addWatchFile(options.shapes);
    },
    generateBundle() {
      const set = JSON.parse(readFileSync(options.set, "utf8")) as IconSet;
      const names = readFileSync(options.icons, "utf8").split(/\s+/).filter(Boolean);
      const symbols = names.map((name) => {
        const icon = set.icons[name] ?? set.icons[set.aliases?.[name]?.parent ?? ""];
        if (!icon) throw new Error(`icons.txt names "${name}", which Tabler does not have`);
        // Stroke and fill come from the class .ico, so that 16 px and 20 px keep their weight.
        const body = icon.body.replace(/ (fill|stroke|stroke-[a-z]+)="[^"]*"/g, "");
        return `<symbol id="i-${name}" viewBox="0 0 24 24">${body}</symbol>`;
      });
      const shapes = readFileSync(options.shapes, "utf8").replace(/<\/?svg[^>]*>/g, "").trim();
      this.emitFile({
        type: "asset",
        name: "sprite.svg",
        originalFileName: "frontend/assets/sprite.svg",
        source: `<svg xmlns="http://www.w3.org/2000/svg">\n${symbols.join("\n")}\n${shapes}\n</svg>\n`,
      });
    },
  };
}
