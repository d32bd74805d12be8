// Charts ask for a dozen colours a drawing, and each question may make the browser style the page.
const known = new Map<string, string>();
const forget = (): void => known.clear();
document.addEventListener("takt:theme", forget, { capture: true });
for (const query of ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"]) window.matchMedia(query).addEventListener("change", forget);

/** The value of a token as the page has it now (theme and contrast included). */
export function token(name: string): string {
  const found = known.get(name) ?? getComputedStyle(document.documentElement).getPropertyValue(`--tk-${name}`).trim();
  known.set(name, found);
  return found;
}

export function faded(colour: string, alpha: number): string {
  const hex = colour.replace("#", "").slice(0, 6);
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
