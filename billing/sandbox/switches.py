"""Switches that Stripe does not have: how the stand-in spoils calls, deliveries and payments."""

from billing.sandbox.errors import ApiError
from billing.sandbox.store import Store

# Shares of 1, seconds, or 0 and 1; what each does is told in docs/stripe-standin.md.
NUMBERS = (
    "drop", "duplicate", "reorder", "delay_s", "pause",
    "away", "lose_answers", "rate_limit_per_s",
    "async_meter_errors", "meter_delay_s", "clock_limit",
)  # fmt: skip
TEXTS = {"dunning_days": "3,5,7", "after_dunning": "unpaid"}
AFTER_DUNNING = ("unpaid", "cancel", "past_due")
_DEFAULTS = {"clock_limit": "1"}


def number(store: Store, name: str) -> float:
    return float(store.setting(f"switch.{name}", _DEFAULTS.get(name, "0")))


def is_on(store: Store, name: str) -> bool:
    return number(store, name) > 0


def text(store: Store, name: str) -> str:
    return store.setting(f"switch.{name}", TEXTS[name])


def dunning_days(store: Store) -> list[int]:
    """Return the days after the first failure on which a payment is tried again."""
    return [int(day) for day in text(store, "dunning_days").split(",") if day.strip()]


def all_of(store: Store) -> dict[str, float | str]:
    numbers = {name: number(store, name) for name in NUMBERS}
    return {**numbers, **{name: text(store, name) for name in TEXTS}}


def change(store: Store, values: dict[str, str]) -> None:
    """Set switches.

    Raises:
        ApiError: one is unknown, or its value is not of its kind; nothing is set.
    """
    for name, value in values.items():
        if name not in NUMBERS and name not in TEXTS:
            raise ApiError(f"unknown switch {name}")
        if name == "after_dunning" and value not in AFTER_DUNNING:
            raise ApiError(f"after_dunning is one of {', '.join(AFTER_DUNNING)}")
    try:
        kept = {n: v if n in TEXTS else str(float(v)) for n, v in values.items()}
        days = [int(d) for d in values.get("dunning_days", "").split(",") if d.strip()]
    except ValueError as error:
        raise ApiError(f"not a number: {error}") from None
    if days != sorted(set(days)):
        raise ApiError("dunning_days must grow")
    for name, value in kept.items():
        store.set(f"switch.{name}", value)
