"""Benchmarks: `python -m tests.bench [area]` runs tests/bench/<area>.py and writes its figures.

An area is a module with `run() -> dict[str, float]`: figures by id. Adding a file adds an area.
What is required of a figure stands in its `WANTED` ("at least 20") and is printed beside it.
Figures that it prints in a table of its own end as its `TABLED` says, and are not printed twice.
"""
