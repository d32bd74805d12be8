"""Benchmarks of the product's own models on folders of data, one module a kind.

Each has `run(folder, *, say)`: it reads the folder, measures, tells a reader through `say`,
returns the figures, one block a subset, and raises `BadFolder`.
"""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], object]
Figures = dict[str, dict[str, float]]


class BadFolder(ValueError):
    """The folder does not hold data of the form; says what is missing."""


class TooFewPictures(BadFolder):
    """The folder has the form, but holds too little to measure by it."""
