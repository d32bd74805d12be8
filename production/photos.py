"""Pictures from strangers' phones, made into plain ones of ours.

What was sent is decoded and written anew as JPEG: nothing of its bytes, names, places or declared
type survives, and what is no picture does not pass.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_BYTES = 12 * 1024 * 1024
MAX_PIXELS = 50_000_000
SIDE = 2000  # pixels of the longer side that are kept
FORMATS = ("JPEG", "PNG", "WEBP")


class NotAPhoto(Exception):
    """It cannot be kept as a photo; the text is for people."""


@dataclass(frozen=True, slots=True)
class Photo:
    """A JPEG of ours, with the digest of what it was made of."""

    content: bytes
    digest: str
    width: int
    height: int


def redraw(content: bytes) -> Photo:
    """Decode a picture and write it anew, upright, with at most `SIDE` pixels a side.

    Raises:
        NotAPhoto: it is too large, damaged, or no JPEG, PNG or WebP.
    """
    if len(content) > MAX_BYTES:
        raise NotAPhoto(f"A photo may have {MAX_BYTES // 1024 // 1024} MB. This one has more.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
            if picture.width * picture.height > MAX_PIXELS:
                raise NotAPhoto("The picture has too many pixels. Take it at a lower resolution.")
            picture.draft("RGB", (SIDE, SIDE))  # lets JPEG decode at a fraction of the cost
            upright = ImageOps.exif_transpose(picture).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError,
            Image.DecompressionBombWarning) as error:  # fmt: skip
        raise NotAPhoto("This is no picture that can be read. Send JPEG, PNG or WebP.") from error
    upright.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=85)
    return Photo(out.getvalue(), hashlib.sha256(content).hexdigest(), upright.width, upright.height)
