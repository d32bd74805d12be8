/** Fetch the code of the explorer only for its page. */
export function startExplorer(place: HTMLElement): void {
  void import("./explorer.ts").then(({ Explorer }) => new Explorer(place));
}
