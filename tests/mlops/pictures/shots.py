"""Pictures as cameras and strangers send them, and a plan to send them to."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

from production.models import DefectType, InspectionPlan, Product


def plan(name: str = "Faces", item_no: str = "F-100") -> InspectionPlan:
    product, _ = Product.objects.get_or_create(item_no=item_no, defaults={"name": "Flange"})
    return InspectionPlan.objects.get_or_create(product=product, name=name)[0]


def defect(code: str = "scratch") -> DefectType:
    return DefectType.objects.get_or_create(code=code, defaults={"name": code.title()})[0]


def pixels(seed: int = 0, *, width: int = 64, height: int = 48) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def shot(
    seed: int = 0, *, form: str = "PNG", width: int = 64, height: int = 48, **how: Any
) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels(seed, width=width, height=height)).save(out, form, **how)
    return out.getvalue()


def mask(width: int, height: int, *, box: tuple[int, int, int, int]) -> bytes:
    """Draw a mask of some size, painted in a box."""
    picture = Image.new("1", (width, height))
    x, y, w, h = box
    picture.paste(1, (x, y, x + w, y + h))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_that_declares(width: int, height: int, rows: bytes = b"") -> bytes:
    """Return a small PNG whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
