"""Boards drawn line by line, good ones and ones with one of six faults at a known place."""

import cv2
import numpy as np

from mlops.vision.boxes import Box, Labelled

SIDE = 320
GAP, COPPER = 230, 30  # grey levels
TRACE_Y = (50, 100, 150, 200, 250)
WIDTH = 20
KINDS = ("open", "short", "mousebite", "spur", "spurious", "pin-hole")


def template(seed: int = 0) -> np.ndarray:
    """Draw a board: traces across, pads with holes on them, a sloping trace below."""
    rng = np.random.default_rng(seed)
    board = np.full((SIDE, SIDE), GAP, dtype=np.uint8)
    for y in TRACE_Y:
        cv2.rectangle(board, (0, y - WIDTH // 2), (SIDE, y + WIDTH // 2), COPPER, -1)
    for _ in range(3):
        x, y = int(rng.integers(10, 40)), int(rng.choice(TRACE_Y))
        cv2.circle(board, (x, y), 16, COPPER, -1)
        cv2.circle(board, (x, y), 5, GAP, -1)
    cv2.line(board, (260, 270), (SIDE, 310), COPPER, 8)
    return board


def with_fault(board: np.ndarray, kind: str, x: int, line: int) -> tuple[np.ndarray, Labelled]:
    """Draw a fault on or beside trace `line` around column x, 70 to 240."""
    picture, y, half = board.copy(), TRACE_Y[line], WIDTH // 2
    match kind:
        case "open":
            box = (x - 4, y - half, x + 4, y + half)
            cv2.rectangle(picture, box[:2], box[2:], GAP, -1)
        case "short":
            box = (x - 4, y + half, x + 4, y + 50 - half)
            cv2.rectangle(picture, box[:2], box[2:], COPPER, -1)
        case "mousebite":
            box = (x - 6, y - half, x + 6, y - half + 7)
            cv2.ellipse(picture, (x, y - half), (6, 7), 0, 0, 180, GAP, -1)
        case "spur":
            box = (x - 5, y + half, x + 5, y + half + 9)
            cv2.ellipse(picture, (x, y + half), (5, 9), 0, 0, 180, COPPER, -1)
        case "spurious":
            box = (x - 5, y + 20, x + 5, y + 30)
            cv2.circle(picture, (x, y + 25), 5, COPPER, -1)
        case _:
            box = (x - 4, y - 4, x + 4, y + 4)
            cv2.circle(picture, (x, y), 4, GAP, -1)
    left, top, right, bottom = box
    return picture, Labelled(Box(left - 6, top - 6, right + 7, bottom + 7), kind)


def seen_by_a_camera(
    board: np.ndarray, seed: int, *, turn_degrees: float = 0.0, shift: tuple[float, float] = (0, 0),
    gain: float = 1.0, noise: float = 2.0,
) -> np.ndarray:  # fmt: skip
    """Return the board turned, moved, in another light, with the noise of a sensor."""
    rng = np.random.default_rng(seed)
    moving = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn_degrees, 1.0)
    moving[:, 2] += np.array(shift)
    moved = cv2.warpAffine(board, moving, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    light = np.linspace(gain, 2 - gain, SIDE)[None, :]
    return np.clip(moved * light + rng.normal(0, noise, board.shape), 0, 255).astype(np.uint8)


def labelled(seed: int, n_faults: int = 3) -> tuple[np.ndarray, np.ndarray, list[Labelled]]:
    """Return a template, the picture of a board with faults, and their boxes."""
    rng = np.random.default_rng(seed)
    board = template(seed)
    picture, boxes = board, []
    # One fault a trace and its gap: no two of them touch.
    for line in rng.permutation(4)[:n_faults]:
        kind = KINDS[int(rng.integers(len(KINDS)))]
        picture, box = with_fault(picture, kind, int(rng.integers(70, 240)), int(line))
        boxes.append(box)
    shift = tuple(rng.uniform(-2, 2, 2))
    return board, seen_by_a_camera(picture, seed, shift=shift), boxes
