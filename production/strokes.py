"""A signature as numbers: polylines on a field of fixed size, checked at the door."""

from collections.abc import Sequence
from typing import Any

WIDTH, HEIGHT = 600, 200
MAX_STROKES = 200
MAX_NUMBERS = 8_000

Strokes = list[list[int]]


class NotStrokes(Exception):
    """What was sent is no drawing on the field."""

    def __init__(self) -> None:
        super().__init__("The signature could not be read. Draw it again.")


def read(sent: Any) -> Strokes:
    """Check strokes from outside: lists of x0, y0, x1, y1, ... within the field.

    Raises:
        NotStrokes: anything else, or more of them than a hand draws.
    """
    if not isinstance(sent, list) or len(sent) > MAX_STROKES:
        raise NotStrokes
    strokes = [_stroke(stroke) for stroke in sent]
    if sum(map(len, strokes)) > MAX_NUMBERS:
        raise NotStrokes
    return strokes


def _stroke(sent: Any) -> list[int]:
    if not isinstance(sent, list) or len(sent) < 2 or len(sent) % 2 or len(sent) > MAX_NUMBERS:
        raise NotStrokes
    for place, number in enumerate(sent):
        most = HEIGHT if place % 2 else WIDTH
        if type(number) is not int or not 0 <= number <= most:
            raise NotStrokes
    return sent


def points(stroke: Sequence[int]) -> str:
    """Write a stroke as the points of an SVG polyline."""
    return " ".join(f"{x},{y}" for x, y in zip(stroke[::2], stroke[1::2], strict=True))
