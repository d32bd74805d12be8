/** The stretch of time that is shown, and how the address of the page says it. */
export interface View {
  start: number; // seconds since 1970
  end: number;
  code: string; // a range relative to now ("8h"), or empty
}

const SHORTEST = 2;
const LONGEST = 366 * 86_400 * 20;

export function moved(view: View, share: number): View {
  const by = (view.end - view.start) * share;
  return within({ start: view.start + by, end: view.end + by, code: "" });
}

/** Show `factor` times as much; what lies at `centre` stays where it is. */
export function zoomed(view: View, factor: number, centre = (view.start + view.end) / 2): View {
  const span = Math.min(Math.max((view.end - view.start) * factor, SHORTEST), LONGEST);
  const share = (centre - view.start) / (view.end - view.start);
  const start = centre - span * share;
  return within({ start, end: start + span, code: "" });
}

export function between(one: number, other: number): View {
  const [start, end] = one < other ? [one, other] : [other, one];
  return within({ start, end: Math.max(end, start + SHORTEST), code: "" });
}

/** Nothing is known of the future: the right edge goes no further than now. */
function within(view: View): View {
  const late = Math.max(0, view.end - Date.now() / 1000);
  const early = Math.max(0, -view.start);
  return { ...view, start: view.start - late + early, end: view.end - late + early };
}

/** Write the view into the parameters of an address, in the place of the view it had. */
export function into(params: URLSearchParams, view: View): void {
  for (const name of ["range", "from", "to"]) params.delete(name);
  for (const [name, value] of parts(view)) params.set(name, value);
}

export function parts(view: View): [string, string][] {
  if (view.code) return [["range", view.code]];
  return [
    ["from", new Date(Math.round(view.start * 1000)).toISOString()],
    ["to", new Date(Math.round(view.end * 1000)).toISOString()],
  ];
}
