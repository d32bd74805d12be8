"""What was painted in a box: from a picture of a mask to bits that are kept, and back."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlops.vision import containers, pictures

Mask = npt.NDArray[np.bool_]
MAX_BYTES: Final = 4 * 1024 * 1024
_PAINTED_FROM: Final = 128  # grey value
_IHDR_SIZE: Final = slice(16, 24)


class MaskRefused(ValueError):
    """It is no mask of this box; the text says why."""


def mask_of(
    png: bytes, *, box: tuple[int, int, int, int], picture_size: tuple[int, int]
) -> Mask:  # fmt: skip
    """Return what a PNG paints (128 and above) in a box.

    Args:
        png: of the size of the box, or of the whole picture. One of less than 32 pixels a side is
            refused like any picture: send the whole picture's then.
        box: x, y, width, height in pixels.
        picture_size: width, height.

    Returns:
        (height, width) bool of the box, with something painted.

    Raises:
        MaskRefused: it is no PNG, of another size, damaged, or nothing is painted in the box.
    """
    x, y, width, height = box
    if len(png) > MAX_BYTES or containers.form_of(png) != "PNG" or len(png) < _IHDR_SIZE.stop:
        raise MaskRefused("A mask is a PNG of at most 4 MB.")
    # From the header, so that no pixel of a wrong size is unpacked.
    size = struct.unpack(">II", png[_IHDR_SIZE])
    if size not in ((width, height), picture_size):
        raise MaskRefused(
            f"The mask has {size[0]} x {size[1]} pixels. It needs those of the box "
            f"({width} x {height}) or of the picture ({picture_size[0]} x {picture_size[1]})."
        )
    try:
        painted = pictures.decode(png).pixels[..., 0] >= _PAINTED_FROM
    except pictures.PictureRefused as error:
        raise MaskRefused(error.message) from error
    if size != (width, height):
        painted = painted[y : y + height, x : x + width]
    if not painted.any():
        raise MaskRefused("Nothing is painted inside the box.")
    return np.asarray(painted, dtype=np.bool_)


def packed(mask: Mask) -> bytes:
    """Pack the bits of a mask by rows, each row filled up to whole bytes, and deflate them."""
    return zlib.compress(np.packbits(mask, axis=1).tobytes())


def unpacked(content: bytes, *, width: int, height: int) -> Mask:
    """Return the (height, width) mask that was `packed`."""
    row_bytes = -(-width // 8)
    rows = np.frombuffer(zlib.decompress(content), np.uint8).reshape(height, row_bytes)
    return np.unpackbits(rows, axis=1, count=width).astype(np.bool_)


def png_of(mask: Mask) -> bytes:
    """Draw a mask as a PNG of one bit a pixel."""
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG")
    return out.getvalue()
