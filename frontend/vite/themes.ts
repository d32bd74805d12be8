import postcss from "postcss";
import type { Plugin } from "vite";

const FOLLOW = [
  { theme: '[data-bs-theme="dark"]', media: "(prefers-color-scheme: dark)", root: ":root:not([data-bs-theme])" },
  { theme: '[data-tk-contrast="more"]', media: "(prefers-contrast: more)", root: ":root:not([data-tk-contrast])" },
];

/** Repeat the theme blocks of tokens.css for those who leave the choice to their system.
 *
 * Without it a page would need a script before its first paint, or flash in the wrong colours.
 */
export function themes(): Plugin {
  return {
    name: "takt-themes",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith("/tokens.css")) return undefined;
      const sheet = postcss.parse(code);
      for (const { theme, media, root } of FOLLOW) {
        sheet.walkRules((rule) => {
          if (rule.selector !== theme || rule.parent?.type === "atrule") return;
          const wrapped = postcss.atRule({ name: "media", params: media });
          wrapped.append(rule.clone({ selector: root }));
          rule.after(wrapped);
        });
      }
      return sheet.toString();
    },
  };
}
