/** A table row opens the page of its link; links and buttons inside keep their own meaning. */
export function startRowLink(row: HTMLElement): void {
  row.addEventListener("click", (event) => {
    const target = event.target;
    if (!(target instanceof Element) || target.closest("a, button, input, select, label")) return;
    if (window.getSelection()?.toString()) return;
    row.querySelector<HTMLAnchorElement>("a.open")?.click();
  });
}
