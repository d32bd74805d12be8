"""Pictures of a milled bracket under a camera: what a visitor's own line would send.

A height map of the part (chamfers, bores, a pocket, an engraving, the marks of the mill) is lit
from one side, seen through a lens and read by a noisy sensor. Defects are changes of the height
map and the surface, drawn without knowledge of what any model looks for. The same seed gives the
same picture.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Plane = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

WIDTH: Final = 480
HEIGHT: Final = 360
FINE: Final = 2  # the part is drawn at so many times the size, then seen smaller
_SHAPE: Final = (HEIGHT * FINE, WIDTH * FINE)
# In fine pixels: (x, y, radius). Two to screw it on, the fit, and one for a pin.
BORES: Final = ((190, 200, 34), (190, 520, 34), (560, 500, 66), (770, 330, 24))
_OUTLINE: Final = ((110, 120), (640, 120), (640, 230), (850, 230), (850, 600), (110, 600))
_POCKET: Final = (330, 200, 570, 350)
_MILL_RADIUS: Final = 520.0

SCRATCH, PIT, MISSING, STAIN, BURR = "scratch", "pit", "missing-feature", "stain", "burr"
CODES: Final = (SCRATCH, PIT, MISSING, STAIN, BURR)


@dataclass(frozen=True, slots=True)
class Light:
    """The lamp: its brightness against new, and how much it falls off from left to right."""

    gain: float = 1.0
    gradient: float = 0.0


@dataclass(frozen=True, slots=True)
class Flaw:
    """A defect to plant: its kind, and its size and contrast from 0 (hardly seen) to 1 (plain)."""

    code: str
    severity: float


@dataclass(frozen=True, slots=True)
class Planted:
    """A defect that a picture shows, with the box around it in pixels of the picture."""

    code: str
    severity: float
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: (HEIGHT, WIDTH, 3) pixels, red first, and the truth about it."""

    pixels: Pixels
    planted: tuple[Planted, ...]

    def jpeg(self) -> bytes:
        """Encode it as an industrial camera does."""
        out = io.BytesIO()
        Image.fromarray(self.pixels).save(out, "JPEG", quality=93, subsampling=0)
        return out.getvalue()


@dataclass(slots=True)
class _Surface:
    """A part on the bench, in fine pixels: height, reflection, stains and its outline."""

    height: Plane
    albedo: Plane
    stain: Plane
    body: Plane


def take(*, seed: int, flaws: Sequence[Flaw] = (), light: Light | None = None) -> Picture:
    """Take the picture of one part."""
    # A defect of its own draws leaves the part as it would have been without.
    rng, spoiling = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    # The fit is never forgotten: the part is clamped by it.
    missing = tuple(int(spoiling.choice([0, 1, 3])) for flaw in flaws if flaw.code == MISSING)
    surface = _machined(rng, missing)
    masks = [
        _disc(*BORES[missing[0]])
        if flaw.code == MISSING
        else _PLANT[flaw.code](surface, flaw, spoiling)
        for flaw in flaws
    ]
    place = _jitter(rng)
    pixels = _exposed(surface, place, light or Light(), rng)
    boxes = [_box(mask, place) for mask in masks]
    return Picture(
        pixels,
        tuple(
            Planted(flaw.code, flaw.severity, *box)
            for flaw, box in zip(flaws, boxes, strict=True)
        ),
    )  # fmt: skip


# -- the part ------------------------------------------------------------------------------------
@lru_cache(maxsize=8)
def _blank(missing: tuple[int, ...]) -> tuple[Plane, Plane, Plane]:
    """Return height, reflection and outline of a bracket without tool marks."""
    body: Pixels = np.zeros(_SHAPE, np.uint8)
    cv2.fillPoly(body, [np.array(_OUTLINE, np.int32)], 255)
    body = _rounded(body, 25)
    height = _raised(body, chamfer=9, depth=7.0)
    albedo = np.full(_SHAPE, 1.0, np.float32)
    pocket: Pixels = np.zeros(_SHAPE, np.uint8)
    cv2.rectangle(pocket, _POCKET[:2], _POCKET[2:], 255, -1)
    pocket = _rounded(pocket, 36)
    height -= _raised(pocket, chamfer=8, depth=16.0)
    albedo -= 0.16 * _soft(pocket, 2)
    text = np.zeros(_SHAPE, np.uint8)
    cv2.putText(text, "B7", (650, 450), cv2.FONT_HERSHEY_DUPLEX, 2.2, 255, 5, cv2.LINE_AA)
    height -= 2.2 * _soft(text, 1.5)
    albedo -= 0.10 * _soft(text, 1.5)
    for index, (x, y, radius) in enumerate(BORES):
        if index in missing:
            continue
        height -= _raised(_drawn_disc(x, y, radius + 6), chamfer=7, depth=6.0)
        hole = _soft(_drawn_disc(x, y, radius), 1.2)
        albedo *= 1.0 - 0.86 * hole
    return height, albedo, _soft(body, 1.0)


@lru_cache(maxsize=1)
def _passes() -> Plane:
    """Return where on its way the mill left each point: x less the arc of its edge."""
    y, x = np.mgrid[0 : _SHAPE[0], 0 : _SHAPE[1]].astype(np.float32)
    seam = 365.0
    centre = np.where(y < seam, 215.0, 515.0)
    arc = np.sqrt(np.maximum(_MILL_RADIUS**2 - (y - centre) ** 2, 0.0))
    return np.asarray(x - arc + np.where(y < seam, 0.0, 3.7), np.float32)


def _machined(rng: np.random.Generator, missing: tuple[int, ...]) -> _Surface:
    height, albedo, body = _blank(missing)
    feed = float(rng.uniform(8.4, 9.2))  # fine pixels a turn
    way = (_passes() + np.float32(rng.uniform(700, 740))) / np.float32(feed)
    turn = way.astype(np.int32)
    depth = rng.normal(1.0, 0.25, 256).astype(np.float32)
    marks = np.sin(np.float32(2 * np.pi) * (way - turn.astype(np.float32))) * depth[turn % 256]
    # Fine lines of the cutting edges run along the arcs.
    lines = rng.normal(0.0, 1.0, 2048).astype(np.float32)[(way * 7).astype(np.int32) % 2048]
    cloudy = _clouds(rng, 14) * 0.020
    return _Surface(
        height + 0.28 * marks * body * albedo,  # nothing is milled at the bottom of a bore
        albedo * (1.0 + 0.030 * lines + cloudy),
        np.zeros(_SHAPE, np.float32),
        body,
    )


def _clouds(rng: np.random.Generator, n: int) -> Plane:
    small = rng.normal(0.0, 1.0, (n, n)).astype(np.float32)
    return np.asarray(cv2.resize(small, _SHAPE[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _round(radius: int) -> Pixels:
    size = 2 * radius + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _rounded(mask: Pixels, radius: int) -> Pixels:
    """Round the outer corners of a shape."""
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _round(radius)), np.uint8)


def _raised(mask: Pixels, *, chamfer: float, depth: float) -> Plane:
    """Return a table of a height with slanted sides."""
    inside = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    return np.asarray(np.minimum(inside / chamfer, 1.0) * depth, np.float32)


def _soft(mask: Pixels, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32) / 255.0, (0, 0), sigma), np.float32)


def _drawn_disc(x: int, y: int, radius: int) -> Pixels:
    mask = np.zeros(_SHAPE, np.uint8)
    cv2.circle(mask, (x, y), radius, 255, -1, cv2.LINE_AA)
    return mask


def _disc(x: int, y: int, radius: int) -> Plane:
    return _soft(_drawn_disc(x, y, radius), 0.8)


# -- defects -------------------------------------------------------------------------------------
def _somewhere(rng: np.random.Generator, margin: int = 40) -> tuple[int, int]:
    """Choose a point on the upper face, away from bores, pocket and edges."""
    while True:
        x, y = int(rng.integers(110, 850)), int(rng.integers(120, 600))
        is_on = cv2.pointPolygonTest(np.array(_OUTLINE, np.float32), (float(x), float(y)), True)
        is_clear = all(np.hypot(x - u, y - v) > r + margin for u, v, r in BORES)
        left, top, right, bottom = _POCKET
        in_pocket = left - margin < x < right + margin and top - margin < y < bottom + margin
        if is_on > margin and is_clear and not in_pocket:
            return x, y


def _scratch(surface: _Surface, flaw: Flaw, rng: np.random.Generator) -> Plane:
    x, y = _somewhere(rng, 24)
    length = (40 + 260 * flaw.severity) * float(rng.uniform(0.8, 1.2))
    steps = np.linspace(-0.5, 0.5, 24)
    heading = float(rng.uniform(0, np.pi)) + float(rng.normal(0, 0.5)) * steps
    path = np.stack(
        [x + np.cumsum(np.cos(heading)) * length / 24 - np.cos(heading[12]) * length / 2,
         y + np.cumsum(np.sin(heading)) * length / 24 - np.sin(heading[12]) * length / 2], axis=1,
    )  # fmt: skip
    mask = np.zeros(_SHAPE, np.uint8)
    thickness = 2 + round(3 * flaw.severity)
    cv2.polylines(
        mask, [np.round(path * 16).astype(np.int32)], False, 255, thickness, cv2.LINE_AA, 4
    )
    groove = _soft(mask, 0.9) * surface.body
    surface.height -= (0.7 + 2.6 * flaw.severity) * groove
    surface.albedo *= 1.0 + (0.10 + 0.35 * flaw.severity) * groove
    return groove


def _pits(surface: _Surface, flaw: Flaw, rng: np.random.Generator) -> Plane:
    whole = np.zeros(_SHAPE, np.float32)
    x, y = _somewhere(rng)
    for _ in range(1 + int(rng.integers(0, 1 + round(5 * flaw.severity)))):
        radius = max(2, round(float(rng.uniform(2.5, 4 + 9 * flaw.severity))))
        mask = np.zeros(_SHAPE, np.uint8)
        axes = (radius, max(2, round(radius * float(rng.uniform(0.6, 1.0)))))
        at = (x + int(rng.integers(-28, 29)), y + int(rng.integers(-28, 29)))
        cv2.ellipse(mask, at, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
        whole = np.maximum(whole, _soft(mask, 1.0))
    surface.height -= (1.5 + 4.0 * flaw.severity) * whole
    surface.albedo *= 1.0 - (0.25 + 0.4 * flaw.severity) * whole
    return whole


def _stain(surface: _Surface, flaw: Flaw, rng: np.random.Generator) -> Plane:
    x, y = _somewhere(rng, 20)
    mask = np.zeros(_SHAPE, np.uint8)
    reach = 16 + 46 * flaw.severity
    for _ in range(9):
        at = (
            x + round(float(rng.normal(0, reach / 2))),
            y + round(float(rng.normal(0, reach / 2))),
        )
        cv2.circle(mask, at, max(6, round(float(rng.uniform(0.3, 0.8)) * reach)), 255, -1)
    film = _soft(mask, 5.0) * surface.body * (1.0 + 0.25 * np.clip(_clouds(rng, 40), -1, 1))
    # Coolant dries with a darker rim.
    rim = cv2.morphologyEx(film, cv2.MORPH_GRADIENT, _round(3))
    surface.stain += (0.08 + 0.17 * flaw.severity) * (film + 0.6 * rim)
    return np.asarray(film, np.float32)


def _burr(surface: _Surface, flaw: Flaw, rng: np.random.Generator) -> Plane:
    x, y, radius = BORES[int(rng.integers(0, len(BORES)))]
    begin, span = float(rng.uniform(0, 2 * np.pi)), 0.5 + 1.6 * flaw.severity
    mask = np.zeros(_SHAPE, np.uint8)
    angles = np.arange(begin, begin + span, 2.0 / radius)
    # The curl bends in and out as it goes round, and tears at its ends.
    bend = np.cumsum(rng.normal(0, 0.7, len(angles)))
    bend -= np.linspace(bend[0], bend[-1], len(angles))
    widths = (2.0 + 4.0 * flaw.severity) * np.sin(np.linspace(0.3, np.pi - 0.3, len(angles)))
    for angle, out, width in zip(angles, radius + bend, widths, strict=True):
        at = (round(x + out * np.cos(angle)), round(y + out * np.sin(angle)))
        cv2.circle(mask, at, max(1, round(width * float(rng.uniform(0.5, 1.2)))), 255, -1)
    ragged = _soft(mask, 1.1)
    surface.height += (1.5 + 4.0 * flaw.severity) * ragged
    surface.albedo = np.maximum(surface.albedo, ragged * (0.7 + 0.4 * flaw.severity))
    return ragged


_PLANT: Final[dict[str, Any]] = {SCRATCH: _scratch, PIT: _pits, STAIN: _stain, BURR: _burr}


# -- the camera ----------------------------------------------------------------------------------
def _jitter(rng: np.random.Generator) -> Matrix:
    """Return where the part lies: a turn of a degree or so, a shift of a few pixels."""
    centre = (_SHAPE[1] / 2, _SHAPE[0] / 2)
    turn = float(np.clip(rng.normal(0, 0.5), -1.2, 1.2))
    matrix = cv2.getRotationMatrix2D(centre, turn, float(rng.normal(1.0, 0.002)))
    matrix[:, 2] += np.clip(rng.normal(0, 3.0, 2), -8, 8)
    return np.asarray(matrix, np.float64)


def _exposed(surface: _Surface, place: Matrix, light: Light, rng: np.random.Generator) -> Pixels:
    part = _smaller(_placed(_lit(surface) * surface.body, place))
    body = _smaller(_placed(surface.body, place))
    stain = _smaller(_placed(surface.stain, place))[..., None]
    shade = cv2.GaussianBlur(np.roll(body, (5, 6), axis=(0, 1)), (0, 0), 5)
    mat = 0.115 + 0.012 * rng.normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    scene = part + (1.0 - body) * mat * (1.0 - 0.6 * shade)
    field = _field(light) * float(rng.normal(1.0, 0.02))
    # Cold light on steel; dried coolant takes blue more than red.
    rgb = scene[..., None] * np.array([0.97, 1.0, 1.02], np.float32)
    rgb = rgb * np.clip(1.0 - stain * np.array([0.75, 1.0, 1.35], np.float32), 0.1, 1.0)
    rgb = cv2.GaussianBlur(rgb * field[..., None] * 240.0, (0, 0), 0.55)
    noise = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32)
    rgb = rgb + noise * np.sqrt(1.2 + 0.022 * np.maximum(rgb, 0.0))
    return np.asarray(np.clip(np.round(rgb), 0, 255), np.uint8)


def _lit(surface: _Surface) -> Plane:
    """Light the height map from the upper left, with the gloss of bare metal."""
    slope_x = cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    slope_y = cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
    steep = 1.0 / np.sqrt(1.0 + slope_x**2 + slope_y**2)
    diffuse = np.maximum((0.42 * slope_x + 0.50 * slope_y + 0.757) * steep, 0.0)
    gloss = np.maximum((0.22 * slope_x + 0.27 * slope_y + 0.937) * steep, 0.0) ** 24
    return np.asarray(surface.albedo * (0.14 + 0.62 * diffuse) + 0.16 * surface.albedo * gloss,
                      np.float32)  # fmt: skip


def _placed(plane: Plane, place: Matrix) -> Plane:
    return np.asarray(cv2.warpAffine(plane, place, _SHAPE[::-1], flags=cv2.INTER_LINEAR))


def _smaller(plane: Plane) -> Plane:
    return np.asarray(cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def _field(light: Light) -> Plane:
    """Return how bright each pixel is lit: the lens darkens the corners, a tired lamp one side."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    u, v = x / WIDTH - 0.5, y / HEIGHT - 0.5
    lens = 1.0 - 0.30 * (u**2 + v**2)
    return np.asarray(light.gain * lens * (1.0 - light.gradient * (u + 0.5)), np.float32)


def _box(mask: Plane, place: Matrix) -> tuple[int, int, int, int]:
    seen = _smaller(_placed(mask, place))
    rows, columns = np.nonzero(seen > 0.25 * float(seen.max()))
    left, top = int(columns.min()), int(rows.min())
    return left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1
