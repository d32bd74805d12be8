/** Preselect the time zone of the reader's own clock, where the list has it. */
export function startGuessZone(field: HTMLElement): void {
  if (!(field instanceof HTMLSelectElement) || field.selectedIndex > 0) return;
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...field.options].some((option) => option.value === zone)) field.value = zone;
}
