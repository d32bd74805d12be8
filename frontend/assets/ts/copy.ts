/** Copy the text of the element that data-copy names, and say that it is done. */
export function startCopy(button: HTMLElement): void {
  const label = button.querySelector<HTMLElement>("[data-label]") ?? button;
  const usual = label.textContent;
  button.addEventListener("click", () => {
    const target = document.getElementById(button.dataset["copy"] ?? "");
    const text = target instanceof HTMLInputElement ? target.value : (target?.textContent ?? "");
    void copied(text, target).then((done) => {
      label.textContent = done ? "Copied" : "Press Ctrl+C";
      window.setTimeout(() => {
        label.textContent = usual;
      }, 2_000);
    });
  });
}

async function copied(text: string, target: HTMLElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // No permission (or no secure origin): mark the text, so that the keyboard can copy it.
    if (target) window.getSelection()?.selectAllChildren(target);
    return false;
  }
}
