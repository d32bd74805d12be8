import postcss from "postcss";
import type { Plugin } from "vite";

interface Wish {
  attribute: string;
  chosen: string;
  media: string;
}

const DARK: Wish = { attribute: "data-bs-theme", chosen: '[data-bs-theme="dark"]', media: "(prefers-color-scheme: dark)" };
const MORE: Wish = { attribute: "data-tk-contrast", chosen: '[data-tk-contrast="more"]', media: "(prefers-contrast: more)" };

/** Repeat the theme blocks of tokens.css for those who leave the choice to their system.
 *
 * Without it a page would need a script before its first paint, or flash in the wrong colours.
 * A block of several wishes is repeated for every mixture of chosen and left to the system.
 */
export function themes(): Plugin {
  return {
    name: "takt-themes",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith("/tokens.css")) return undefined;
      const sheet = postcss.parse(code);
      for (const wishes of [[DARK], [MORE], [DARK, MORE]]) {
        const selector = wishes.map((wish) => wish.chosen).join("");
        sheet.walkRules((rule) => {
          if (rule.selector !== selector || rule.parent?.type === "atrule") return;
          for (const left of leftToTheSystem(wishes)) {
            const wrapped = postcss.atRule({ name: "media", params: left.map((wish) => wish.media).join(" and ") });
            const root = wishes.map((wish) => (left.includes(wish) ? `:not([${wish.attribute}])` : wish.chosen)).join("");
            wrapped.append(rule.clone({ selector: `:root${root}` }));
            rule.after(wrapped);
          }
        });
      }
      return sheet.toString();
    },
  };
}

/** Every choice of at least one wish, in the order given. */
function leftToTheSystem(wishes: Wish[]): Wish[][] {
  const [first, ...rest] = wishes;
  if (!first) return [];
  const others = leftToTheSystem(rest);
  return [[first], ...others, ...others.map((chosen) => [first, ...chosen])];
}
