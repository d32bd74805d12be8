"""The fixed words of the portal: one word a state, one word a severity, one word a role."""

STATE_WORDS = {
    "run": "Running",
    "slow": "Reduced speed",
    "idle": "Idle",
    "down": "Down",
    "setup": "Set-up",
    "planned": "Planned stop",
    "nodata": "No data",
}
SEVERITY_WORDS = {1: "Critical", 2: "High", 3: "Medium", 4: "Low"}
NUMBER_WORDS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


def count_word(n: int) -> str:
    """Write a small number as a word, as a sentence begins with it."""
    return NUMBER_WORDS[n] if n < len(NUMBER_WORDS) else str(n)


def headline(n_attention: int, *, n_machines: int, n_silent: int) -> str:
    """Answer the question of the page Now in one sentence."""
    if n_machines == 0:
        return "Nothing is connected yet."
    if n_silent == n_machines:
        return "No machine sends data." if n_machines > 1 else "The machine sends no data."
    if n_attention == 0:
        return "Nothing needs you. Everything runs to plan."
    things = "One thing needs" if n_attention == 1 else f"{count_word(n_attention)} things need"
    return f"{things} you. The rest runs to plan."
