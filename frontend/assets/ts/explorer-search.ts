/** Arrow keys walk from the search field through what was found, and back. */
export function startExplorerSearch(form: HTMLElement): void {
  form.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const stops = [...form.querySelectorAll<HTMLElement>("input[type=search], a.match")];
    const at = stops.indexOf(document.activeElement as HTMLElement);
    const next = stops[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (at < 0 || !next) return;
    event.preventDefault();
    next.focus();
  });
}
