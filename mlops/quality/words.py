"""Reasons of a forecast as people say them."""

from __future__ import annotations

from collections.abc import Mapping

from mlops.tabular.reasons import Reason


def sentence_of(reason: Reason, *, machines: Mapping[str, str]) -> str:
    """Say what is unusual about a parameter, and what the chance would be without it.

    Args:
        machines: names of machines by their id, which is what is kept of them.
    """
    value, usual = _written(reason.value, machines), _written(reason.usual, machines)
    without = f"with its usual value the chance would be {reason.probability_without:.0%}"
    if reason.value is None:
        return f"{reason.column} is not known; {without}."
    if reason.between is not None:
        low, high = (_written(end, machines) for end in reason.between)
        return f"{reason.column} is {value}, usual is {low} to {high}; {without}."
    return f"{reason.column} is {value}, most often it is {usual}; {without}."


def _written(value: float | str | None, machines: Mapping[str, str]) -> str:
    if value is None:
        return "not known"
    if isinstance(value, str):
        return machines.get(value, value)
    return f"{value:.4g}"
