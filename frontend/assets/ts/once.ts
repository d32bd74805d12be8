/** A form that must not be sent twice by a double click. */
export function startOnce(form: HTMLElement): void {
  if (!(form instanceof HTMLFormElement)) return;
  form.addEventListener("submit", () => {
    // After the browser has collected the fields: a disabled button is not among them.
    window.setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
  window.addEventListener("pageshow", () => form.querySelectorAll("button").forEach((button) => (button.disabled = false)));
}
