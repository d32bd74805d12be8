/** The value of a token as the page has it now (theme and contrast included). */
export function token(name: string, from: Element = document.documentElement): string {
  return getComputedStyle(from).getPropertyValue(`--tk-${name}`).trim();
}

export function faded(colour: string, alpha: number): string {
  const hex = colour.replace("#", "").slice(0, 6);
  const [r, g, b] = [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
