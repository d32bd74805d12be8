import htmx from "htmx.org";

/** hx-swap="patch": change only what differs, so that a page of tiles is drawn without a stutter.
 *
 * What stays keeps its focus, its scroll position and its listeners.
 */
export function definePatch(): void {
  htmx.defineExtension("patch", {
    isInlineSwap: (style) => style === "patch",
    handleSwap: (style, target, fragment) => {
      if (style !== "patch" || !(target instanceof Element)) return false;
      const wanted = fragment instanceof Element ? fragment : [...fragment.childNodes].find((node) => node instanceof Element);
      if (!(wanted instanceof Element)) return false;
      const fresh: Element[] = [];
      patch(target, wanted, fresh);
      return fresh;
    },
  });
}

function patch(old: Element, wanted: Element, fresh: Element[]): void {
  if (old.isEqualNode(wanted)) return;
  if (old.nodeName !== wanted.nodeName || old.id !== wanted.id) {
    old.replaceWith(wanted);
    fresh.push(wanted);
    return;
  }
  attributes(old, wanted);
  const next = [...wanted.childNodes];
  const had = [...old.childNodes];
  next.forEach((child, index) => {
    const before = had[index];
    if (!before) {
      old.append(child);
      if (child instanceof Element) fresh.push(child);
    } else if (before instanceof Element && child instanceof Element) {
      patch(before, child, fresh);
    } else if (before.nodeType !== child.nodeType) {
      before.replaceWith(child);
      if (child instanceof Element) fresh.push(child);
    } else if (before.nodeValue !== child.nodeValue) {
      before.nodeValue = child.nodeValue;
    }
  });
  had.slice(next.length).forEach((child) => child.remove());
}

function attributes(old: Element, wanted: Element): void {
  for (const { name, value } of wanted.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  // What htmx writes on an element while it asks is its own.
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name) && name !== "class") old.removeAttribute(name);
}
