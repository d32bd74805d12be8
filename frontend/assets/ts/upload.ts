const PATIENCE_MS = 120_000; // one picture on a slow line

interface Refused {
  name: string;
  why: string;
}

interface Answer {
  next: string;
  refused: Refused[];
}

/** Send many files one by one: what is refused is named with its reason, and nothing else is lost. */
export function startUpload(form: HTMLElement): void {
  if (!(form instanceof HTMLFormElement)) return;
  const files = form.querySelector<HTMLInputElement>("input[type=file]");
  const note = form.querySelector<HTMLElement>("[data-upload-note]");
  const list = form.querySelector<HTMLElement>("[data-refused]");
  const chosen = form.querySelector<HTMLElement>("[data-chosen]");
  if (!files || !note || !list) return;

  files.addEventListener("change", () => {
    const n = files.files?.length ?? 0;
    if (chosen && n) chosen.textContent = n === 1 ? (files.files?.[0]?.name ?? "1 picture") : `${n} pictures chosen`;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!form.hasAttribute("aria-busy")) void sendAll();
  });

  const sendAll = async (): Promise<void> => {
    const waiting = [...(files.files ?? [])];
    const refused: Refused[] = [];
    let next = "";
    form.setAttribute("aria-busy", "true");
    form.querySelectorAll("button").forEach((button) => (button.disabled = true));
    for (const [place, file] of waiting.entries()) {
      note.textContent = `Sending ${place + 1} of ${waiting.length}`;
      const answer = await send(form, file);
      next = answer.next || next;
      refused.push(...answer.refused);
    }
    form.removeAttribute("aria-busy");
    form.querySelectorAll("button").forEach((button) => (button.disabled = false));
    const n = waiting.length - refused.length;
    note.textContent = `${n} of ${waiting.length} taken.`;
    show(list, refused);
    if (!refused.length && next) location.assign(next);
    else if (next) note.append(" ", link(next));
  };
}

async function send(form: HTMLFormElement, file: File): Promise<Answer> {
  const sent = new FormData(form);
  sent.delete("pictures");
  sent.append("pictures", file);
  try {
    const response = await fetch(form.action, { method: "POST", body: sent, headers: { "X-Takt-Keep": "1" }, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.headers.get("Content-Type")?.startsWith("application/json")) return (await response.json()) as Answer;
    return { next: "", refused: [{ name: file.name, why: response.status === 413 ? "It is too large." : "It was not taken. Load the page again and send it once more." }] };
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    const why = isLate ? "It took more than two minutes. Send it once more." : "It was not sent: there is no network.";
    return { next: "", refused: [{ name: file.name, why }] };
  }
}

function show(list: HTMLElement, refused: readonly Refused[]): void {
  list.hidden = !refused.length;
  list.replaceChildren(
    ...refused.map(({ name, why }) => {
      const line = document.createElement("li");
      const strong = document.createElement("b");
      strong.textContent = name;
      line.append(strong, ` ${why}`);
      return line;
    }),
  );
}

function link(next: string): HTMLElement {
  const made = document.createElement("a");
  made.href = next;
  made.textContent = "Show them";
  return made;
}
