import { areKeysOn } from "./keys.ts";

/** The key "/" puts the cursor into the search field, unless someone is writing. */
export function startSearch(field: HTMLElement): void {
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || !areKeysOn()) return;
    const target = event.target;
    if (target instanceof HTMLElement && target.closest("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    field.focus();
  });
}
