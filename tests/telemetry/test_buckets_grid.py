"""Buckets: their borders are told in ms, and every reading lies inside of its own."""

import pytest

from telemetry.selectors.buckets import Grid


@pytest.mark.parametrize("n_buckets", [1, 7, 60, 500])
@pytest.mark.parametrize(
    "span", [(0, 100_000), (1_000, 1_123_000), (500, 99_501), (0, 59_999_000), (7_000, 8_000)]
)
def test_borders_are_whole_ms_and_cover_the_span(span, n_buckets):
    grid = Grid.of(span, n_buckets)

    n = -(-(span[1] - grid.origin_us) // grid.width_us)
    assert grid.origin_us % 1000 == grid.width_us % 1000 == 0
    assert grid.origin_us <= span[0]
    assert n <= n_buckets
