"""The one door for pictures of parts: bytes from outside in, pixels of ours out.

What the bytes are is read from the bytes, never from a name or a declared type. Nothing of them is
kept: the pixels are written anew, without loss, because the pixels judged are the pixels stored.
Photographs of work orders have a door of their own (`production.photos`), which keeps less of the
picture and takes what telephones append to theirs.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from mlops.vision import containers
from mlops.vision.backbone import Pixels

MAX_BYTES: Final = 25 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
MIN_SIDE: Final = 32  # pixels; less shows no part
FORMS: Final = "JPEG, PNG, BMP, TIFF or WebP"
THUMBNAIL_SIDE: Final = 320
# Twelve bits in the low end of sixteen: made into eight bits, hardly a shade would be left.
LEAST_OF_16_BITS: Final = 4096
_TIFF_PACKINGS: Final = {"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"}
_DECODING: Final = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError,
    AttributeError, OverflowError, EOFError, MemoryError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip


class PictureRefused(Exception):
    """It cannot be taken as a picture.

    Attributes:
        code: one of too_large, empty, wrong_type, damaged, trailing_data, several_frames,
            too_many_pixels, too_small, unsupported, low_range.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture behind the door.

    Attributes:
        pixels: (height, width, 3) uint8, red first, upright.
        form: what it came as: JPEG, PNG, BMP, TIFF or WEBP.
        digest: SHA-256 of the bytes it came as, to know a repeat by.
    """

    pixels: Pixels
    form: str
    digest: str

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


def decode(data: bytes) -> Picture:
    """Return the picture that the bytes are, and nothing but a picture.

    Colour profiles are not applied, 16 bits become the upper 8, what is transparent becomes white.

    Raises:
        PictureRefused: says by code and in a sentence why not.
    """
    form = _checked_form(data)
    with _refusing_damage():
        picture = Image.open(io.BytesIO(data), formats=[form])
        _check_header(picture)
        pixels = _eight_bits(ImageOps.exif_transpose(picture))
    return Picture(pixels, form, hashlib.sha256(data).hexdigest())


def _checked_form(data: bytes) -> str:
    """Check what can be checked without decoding, and return the form."""
    if len(data) > MAX_BYTES:
        raise PictureRefused(
            "too_large", f"A picture may have {MAX_BYTES // 1024 // 1024} MB. This one has more."
        )
    if not data:
        raise PictureRefused("empty", "The file is empty.")
    form = containers.form_of(data)
    if form is None:
        raise PictureRefused("wrong_type", f"This is no picture that is read. Send {FORMS}.")
    try:
        end = containers.end_of(data, form)
    except containers.Malformed as error:
        raise PictureRefused("damaged", f"The picture cannot be read. {error}") from error
    if data[end:].strip(b"\0"):  # some cameras fill up with zeros
        raise PictureRefused(
            "trailing_data", "Something else follows the picture in the same file. Send it alone."
        )
    return form


@contextmanager
def _refusing_damage() -> Iterator[None]:
    """Refuse what the decoder cannot read; what it merely warns of (odd metadata) is dropped."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except _DECODING as error:
        raise PictureRefused("damaged", "The picture is damaged and cannot be read.") from error


def _check_header(picture: Image.Image) -> None:
    if picture.width * picture.height > MAX_PIXELS:
        raise PictureRefused(
            "too_many_pixels",
            f"A picture may have {MAX_PIXELS // 1_000_000} megapixels. This one has "
            f"{picture.width} x {picture.height} pixels.",
        )
    if min(picture.size) < MIN_SIDE:
        raise PictureRefused(
            "too_small", f"A picture needs at least {MIN_SIDE} pixels a side. This one has "
            f"{picture.width} x {picture.height}."
        )  # fmt: skip
    if getattr(picture, "n_frames", 1) > 1:
        raise PictureRefused("several_frames", "The file holds several pictures. Send one a file.")
    if picture.format == "TIFF" and picture.info.get("compression") not in _TIFF_PACKINGS:
        raise PictureRefused("unsupported", "This kind of TIFF is not read. Save it without JPEG.")


def _eight_bits(picture: Image.Image) -> Pixels:
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture).astype(np.uint16)
        if 0 < int(grey.max()) < LEAST_OF_16_BITS:
            raise PictureRefused(
                "low_range", "The picture uses less than a tenth of its 16 bits. Let the camera "
                "fill the whole range, or send 8 bits."
            )  # fmt: skip
        picture = Image.fromarray((grey >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise PictureRefused("unsupported", "Pictures of 32 bits a value are not read. Send 8.")
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


def encode(pixels: Pixels) -> bytes:
    """Return the pixels as a PNG of ours: without loss, the same bytes for the same pixels.

    `decode(encode(pixels)).pixels` equals `pixels`. Grey pictures are stored as grey.
    """
    is_grey = (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all()
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if is_grey else pixels).save(out, "PNG", compress_level=3)
    return out.getvalue()


def thumbnail(pixels: Pixels) -> bytes:
    """Return the picture as a WebP of at most `THUMBNAIL_SIDE` pixels a side."""
    small = Image.fromarray(pixels)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80)
    return out.getvalue()
