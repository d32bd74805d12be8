import { readFileSync } from "node:fs";
import postcss, { type Rule } from "postcss";
import type { Plugin } from "vite";

const NAME = "virtual:tabler.css";

/** Tabler's stylesheet, cut down to the parts that match `keep`, in the cascade layer "tabler".
 *
 * The whole sheet has 620 kB, and its grid and card rules fight with ours. A rule stays if one
 * of its selectors matches; a custom property stays if what is left reads it.
 */
export function tabler(options: { file: string; keep: RegExp }): Plugin {
  return {
    name: "takt-tabler",
    resolveId(id) {
      return id === NAME ? `\0${NAME}` : undefined;
    },
    load(id) {
      return id === `\0${NAME}` ? `@layer tabler {\n${trimmed(options)}\n}` : undefined;
    },
  };
}

function trimmed({ file, keep }: { file: string; keep: RegExp }): string {
  const sheet = postcss.parse(readFileSync(file, "utf8"));
  sheet.walkComments((comment) => void comment.remove());
  sheet.walkAtRules((at) => {
    if (["charset", "font-face", "keyframes", "import"].includes(at.name)) at.remove();
  });
  sheet.walkRules((rule) => {
    const kept = rule.selectors.filter((selector) => isRoot(selector) || keep.test(selector));
    if (kept.length === 0) rule.remove();
    else rule.selectors = kept;
  });
  while (dropUnreadProperties(sheet)) {
    // Each round may free the properties that only the dropped ones read.
  }
  sheet.walkAtRules((at) => {
    if (at.nodes?.length === 0) at.remove();
  });
  return sheet.toString();
}

function isRoot(selector: string): boolean {
  return /^(:root|\[data-bs-theme=("?)(light|dark)\2\])$/.test(selector.trim());
}

function dropUnreadProperties(sheet: postcss.Root): boolean {
  const read = new Set<string>();
  sheet.walkDecls((decl) => {
    for (const match of decl.value.matchAll(/var\((--[\w-]+)/g)) read.add(match[1] ?? "");
  });
  let dropped = false;
  sheet.walkDecls(/^--/, (decl) => {
    if (read.has(decl.prop)) return;
    const rule = decl.parent as Rule;
    decl.remove();
    if (rule.nodes.length === 0) rule.remove();
    dropped = true;
  });
  return dropped;
}
