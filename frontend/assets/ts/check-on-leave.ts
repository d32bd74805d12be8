/** Fields are checked when they are left, in the browser's own words, beside the field. */
export function startCheckOnLeave(form: HTMLElement): void {
  form.addEventListener("focusout", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || field.type === "radio" || !field.value) return;
    show(field, field.validationMessage);
  });
  form.addEventListener("input", (event) => {
    const field = event.target;
    if (field instanceof HTMLInputElement && field.validity.valid) show(field, "");
  });
}

function show(field: HTMLInputElement, message: string): void {
  const id = `${field.id}-check`;
  let place = document.getElementById(id);
  if (!message) {
    place?.remove();
    field.removeAttribute("aria-invalid");
    return;
  }
  if (!place) {
    place = document.createElement("p");
    place.id = id;
    place.className = "error";
    field.insertAdjacentElement("afterend", place);
  }
  place.textContent = message;
  field.setAttribute("aria-invalid", "true");
}
