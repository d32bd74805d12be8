/** A form that does not lose what was typed: it is kept in the browser until the server has it.
 *
 * The form is sent by fetch. Without an answer it stays as it is, says so, and is sent again when
 * the network is back; its request_id is kept, too, so that the server counts it once.
 */
const PREFIX = "takt:keep:";
const PATIENCE_MS = 20_000;
const AGAIN_MS = 15_000;
const FORGOTTEN = new Set(["csrfmiddlewaretoken", "action", "back", "item"]);

export function startKeepForm(form: HTMLElement): void {
  if (!(form instanceof HTMLFormElement)) return;
  const key = `${PREFIX}${location.host}:${form.dataset["keep"] ?? ""}`;
  const note = form.querySelector<HTMLElement>("[data-keep-note]");
  let again = 0;
  let submitter: HTMLElement | null = null;
  let isSending = false;

  const say = (text: string): void => {
    if (!note) return;
    note.textContent = text;
    note.hidden = !text;
  };
  if (restore(form, key)) say("This was not sent yet. It is as you left it.");
  form.addEventListener("input", () => keep(form, key));
  form.addEventListener("change", () => keep(form, key));

  const send = async (): Promise<void> => {
    if (isSending) return;
    isSending = true;
    window.clearTimeout(again);
    const sent = new FormData(form, submitter);
    form.setAttribute("aria-busy", "true");
    try {
      // Not form.action: a field of that name would be in its place.
      const response = await fetch(form.getAttribute("action") ?? location.href, {
        method: "POST",
        body: sent,
        headers: { "X-Takt-Keep": "1", Accept: "application/json" },
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const answer = await answerOf(response);
      if (answer.next) {
        forget(key);
        leave(answer.next);
        return;
      }
      if (answer.error) forgetId(form, key);
      say(answer.error ?? "This was not taken: sign in again in another tab, then send it once more. What you typed is kept.");
    } catch {
      keep(form, key);
      say("Not sent: there is no network. What you typed is kept on this device and is sent when the network is back.");
      again = window.setTimeout(() => void send(), AGAIN_MS);
    } finally {
      isSending = false;
      form.removeAttribute("aria-busy");
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submitter = event.submitter;
    keep(form, key);
    void send();
  });
  window.addEventListener("online", () => {
    if (again && form.isConnected) void send();
  });
}

interface Answer {
  next?: string;
  error?: string;
}

async function answerOf(response: Response): Promise<Answer> {
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) {
    if (response.status >= 500) throw new Error("the server could not answer");
    return {};
  }
  return (await response.json()) as Answer;
}

/** Go where the answer says; the same page is drawn anew. */
function leave(next: string): void {
  if (next === location.pathname) location.reload();
  else location.assign(next);
}

/** A request that was refused did nothing: what is sent next is another one. */
function forgetId(form: HTMLFormElement, key: string): void {
  const id = form.elements.namedItem("request_id");
  if (id instanceof HTMLInputElement) id.value = crypto.randomUUID();
  keep(form, key);
}

function keep(form: HTMLFormElement, key: string): void {
  const typed: Array<[string, string]> = [];
  for (const [name, value] of new FormData(form)) {
    if (typeof value === "string" && !FORGOTTEN.has(name)) typed.push([name, value]);
  }
  try {
    localStorage.setItem(key, JSON.stringify(typed));
  } catch {
    // No room, or not allowed: the page itself still holds what was typed.
  }
}

/** Fill in what was kept; say whether it differs from what the page came with. */
function restore(form: HTMLFormElement, key: string): boolean {
  let typed: Array<[string, string]> = [];
  try {
    typed = JSON.parse(localStorage.getItem(key) ?? "[]") as Array<[string, string]>;
  } catch {
    return false;
  }
  let isChanged = false;
  for (const [name, value] of typed) {
    const field = form.elements.namedItem(name);
    if (field instanceof RadioNodeList) {
      if (field.value !== value) {
        field.value = value;
        isChanged = true;
      }
    } else if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement || field instanceof HTMLTextAreaElement) {
      if (field.value !== value && field.type !== "file") {
        field.value = value;
        isChanged ||= name !== "request_id";
      }
    }
  }
  return isChanged;
}

function forget(key: string): void {
  try {
    localStorage.removeItem(key);
  } catch {
    // Then there was nothing kept either.
  }
}
