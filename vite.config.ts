import { resolve } from "node:path";
import { defineConfig } from "vite";
import { sprite } from "./frontend/vite/sprite.ts";
import { tabler } from "./frontend/vite/tabler.ts";
import { themes } from "./frontend/vite/themes.ts";

const assets = resolve(import.meta.dirname, "frontend/assets");
const modules = resolve(import.meta.dirname, "node_modules");

export default defineConfig({
  // Relative, so that the files work wherever Django serves them from.
  base: "./",
  plugins: [
    themes(),
    tabler({
      file: `${modules}/@tabler/core/dist/css/tabler.css`,
      keep: /\.(form-(control|select|check|label|hint|switch)|invalid-feedback|is-invalid|table-responsive|placeholder|dropdown-(menu|item|divider|header))(?![\w])/,
    }),
    sprite({
      icons: `${assets}/icons.txt`,
      shapes: `${assets}/shapes.svg`,
      set: `${modules}/@iconify-json/tabler/icons.json`,
    }),
  ],
  build: {
    outDir: resolve(import.meta.dirname, "frontend/static/dist"),
    emptyOutDir: true,
    manifest: "manifest.json",
    target: ["chrome111", "firefox115", "safari16.4"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: [resolve(assets, "ts/main.ts"), resolve(assets, "icon.svg"), resolve(assets, "css/staff.css")],
      checks: { eval: false }, // htmx names eval, and main.ts switches it off
    },
  },
});
