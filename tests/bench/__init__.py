"""Benchmarks: `python -m tests.bench [area]` runs tests/bench/<area>.py and writes its figures.

An area is a module with `run() -> dict[str, float]`: figures by id. Adding a file adds an area.
"""
