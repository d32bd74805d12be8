"""Benchmarks of the product's models on folders of data, one module a form.

Each has `run(folder, *, say)`: it reads the folder, measures, tells a reader through `say` and
returns figures by set.
"""

from __future__ import annotations


class BadFolder(ValueError):
    """The folder does not hold sets of this form; says what is missing."""
