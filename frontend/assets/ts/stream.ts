import htmx from "htmx.org";

/** A part outside of any factory, drawn again when its own stream says so, until it is settled. */
export function startStream(place: HTMLElement): void {
  const stream = new EventSource(place.dataset["stream"] ?? "");
  const refresh = (): void => {
    const part = place.querySelector<HTMLElement>("[hx-get]");
    if (part) htmx.trigger(part, "takt:refresh", {});
    else stream.close();
  };
  stream.addEventListener("change", refresh);
  // What happened before was not heard.
  stream.addEventListener("listening", refresh);
  place.addEventListener("htmx:afterSettle", () => {
    if (!place.querySelector("[hx-get]")) stream.close();
  });
  window.addEventListener("pagehide", () => stream.close());
}
