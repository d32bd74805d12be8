const KEYS_OFF = "takt:keys-off";

/** Whether single characters are keys: they are until somebody switches them off (WCAG 2.1.4). */
export function areKeysOn(): boolean {
  return localStorage.getItem(KEYS_OFF) !== "yes";
}

/** A switch for single characters as keys; what it says is remembered, and all switches agree. */
export function startKeys(box: HTMLElement): void {
  if (!(box instanceof HTMLInputElement)) return;
  box.checked = areKeysOn();
  box.addEventListener("change", () => {
    localStorage.setItem(KEYS_OFF, box.checked ? "no" : "yes");
    document.querySelectorAll<HTMLInputElement>("input[data-keys]").forEach((other) => (other.checked = box.checked));
  });
}
