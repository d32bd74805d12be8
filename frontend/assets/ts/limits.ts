/** A measured value is told good or out of its limits while it is typed: in a word and a colour. */
export function startLimits(place: HTMLElement): void {
  const field = place.querySelector("input");
  const said = place.querySelector<HTMLElement>("[data-said]");
  if (!field || !said) return;
  const low = limit(place.dataset["low"]);
  const high = limit(place.dataset["high"]);

  const tell = (): void => {
    const text = field.value.trim();
    const value = Number(text.replace(",", "."));
    const isNumber = text !== "" && Number.isFinite(value);
    const isLow = low !== undefined && value < low;
    const isHigh = high !== undefined && value > high;
    said.textContent = !text ? "" : !isNumber ? "This is no number" : isLow ? "Out: too small" : isHigh ? "Out: too large" : "Good";
    place.dataset["judged"] = !text ? "" : isNumber && !isLow && !isHigh ? "good" : "bad";
  };
  field.addEventListener("input", tell);
  tell();
}

function limit(text: string | undefined): number | undefined {
  return text ? Number(text) : undefined;
}
