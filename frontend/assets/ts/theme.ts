/** Light, dark or as the system has it; plain or strong contrast. The server reads the cookie. */
export function startTheme(button: HTMLElement): void {
  button.addEventListener("click", () => {
    const [setting, value] = (button.dataset["themeChoice"] ?? "").split("=") as [string, string];
    apply(setting, value);
    document.querySelectorAll<HTMLElement>(`[data-theme-choice^="${setting}="]`).forEach((other) => {
      other.setAttribute("aria-pressed", String(other === button));
    });
  });
}

function apply(setting: string, value: string): void {
  const root = document.documentElement;
  const attribute = setting === "contrast" ? "data-tk-contrast" : "data-bs-theme";
  if (value === "auto") root.removeAttribute(attribute);
  else root.setAttribute(attribute, value);
  const age = value === "auto" ? 0 : 365 * 24 * 3600;
  document.cookie = `takt_${setting}=${value}; path=/; max-age=${age}; SameSite=Lax; Secure`;
  document.dispatchEvent(new Event("takt:theme"));
}
