"""Figures as people read them: a table, and what is required beside what was reached."""

from collections.abc import Mapping, Sequence


def show(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under a header, the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        first = row[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  " + "  ".join((first, *others)), flush=True)


def show_figures(figures: Mapping[str, float], wanted: Mapping[str, str]) -> None:
    """Print figures by id; where one is required ("at least 20") say whether it was reached.

    A requirement without a figure is printed too: it was not measured here.
    """
    width = max(map(len, (*figures, *wanted)), default=0)
    for name, value in figures.items():
        remark = ""
        if name in wanted:
            remark = f"  wanted {wanted[name]}: {'yes' if is_met(value, wanted[name]) else 'NO'}"
        print(f"  {name:<{width}}  {value:>10,.4g}{remark}", flush=True)
    for name in wanted.keys() - figures.keys():
        print(f"  {name:<{width}}  not measured  wanted {wanted[name]}", flush=True)


def is_met(value: float, wanted: str) -> bool:
    """Say whether a figure is "at least" or "at most" what is wanted."""
    bound, _, limit = wanted.rpartition(" ")
    return value >= float(limit) if bound == "at least" else value <= float(limit)
