"""Where a picture ends in the bytes that carry it, found without decoding a pixel.

What follows the end of a picture is no picture: a ZIP, a page of HTML, a second file. A decoder
does not look there, other programs do.

Sources: PNG (ISO/IEC 15948), JPEG (ITU-T T.81 annex B), TIFF 6.0, BITMAPINFOHEADER (Microsoft),
WebP container (RFC 9649).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Final

STARTS: Final = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II\*\0|MM\0\*"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
}

# A progressive JPEG repaints the whole picture with each scan; cameras write about ten.
MAX_SCANS: Final = 64
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_ALONE: Final = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA

# Bytes of each kind of value.
_TIFF_SIZES: Final = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_FURTHER: Final = {330, 34665, 34853, 40965}  # directories inside of others
_TIFF_DATA: Final = ((273, 279), (324, 325))  # offsets and counts of strips and of tiles
MAX_TIFF_DIRECTORIES: Final = 16
MAX_TIFF_VALUES: Final = 1_000_000


class Malformed(ValueError):
    """The structure breaks off or contradicts itself."""


def form_of(content: bytes) -> str | None:
    """Return the form that the first bytes declare."""
    return next((name for name, start in STARTS.items() if start.match(content)), None)


def end_of(content: bytes, form: str) -> int:
    """Return how many bytes belong to the picture.

    Raises:
        Malformed: it is cut off or broken.
    """
    try:
        end = _ENDS[form](content)
    except (IndexError, struct.error) as error:
        raise Malformed("The file is cut off.") from error
    if end > len(content):
        raise Malformed("The file is cut off.")
    return end


def _end_of_png(content: bytes) -> int:
    place = 8
    while True:
        length = int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        body_end = place + 8 + length
        (stated,) = struct.unpack_from(">I", content, body_end)
        if zlib.crc32(content[place + 4 : body_end]) != stated:
            raise Malformed("A part of the file is damaged: its checksum does not fit.")
        place = body_end + 4
        if kind == b"IEND":
            return place


def _end_of_jpeg(content: bytes) -> int:
    place, n_scans = 2, 0
    while True:
        if content[place] != 0xFF:
            raise Malformed("The file is damaged: a marker is missing.")
        marker = content[place + 1]
        if marker == _END_OF_IMAGE:
            return place + 2
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        place += 2
        if marker in _ALONE:
            continue
        place += struct.unpack_from(">H", content, place)[0]
        if marker == _START_OF_SCAN:
            n_scans += 1
            place = _after_scan(content, place, n_scans)


def _after_scan(content: bytes, place: int, n_scans: int) -> int:
    if n_scans > MAX_SCANS:
        raise Malformed(f"The picture is painted over more than {MAX_SCANS} times.")
    found = _NEXT_MARKER.search(content, place)
    if found is None:
        raise Malformed("The file is cut off.")
    return found.start()


def _end_of_bmp(content: bytes) -> int:
    start, size, width, height, _planes, bits, packed = struct.unpack_from("<IIiiHHI", content, 10)
    if size < 40 or packed not in (0, 3) or width <= 0:
        raise Malformed("Only plain uncompressed BMP is read.")
    return int(start + (width * bits + 31) // 32 * 4 * abs(height))


def _end_of_webp(content: bytes) -> int:
    (length,) = struct.unpack_from("<I", content, 4)
    return int(8 + length + length % 2)


def _end_of_tiff(content: bytes) -> int:
    order = "<" if content[:2] == b"II" else ">"
    waiting: list[int] = [struct.unpack_from(f"{order}I", content, 4)[0]]
    end, n_read = 8, 0
    while waiting:
        n_read += 1
        if n_read > MAX_TIFF_DIRECTORIES:
            raise Malformed("The file has too many directories.")
        place = waiting.pop()
        if place == 0:
            continue
        (n_entries,) = struct.unpack_from(f"{order}H", content, place)
        past = place + 2 + 12 * n_entries
        waiting += struct.unpack_from(f"{order}I", content, past)
        end = max(end, past + 4)
        values: dict[int, list[int]] = {}
        for tag, at, length, whole in _tiff_entries(content, order, place, n_entries):
            end = max(end, at + length)
            values[tag] = whole
        waiting += [offset for tag in _TIFF_FURTHER for offset in values.get(tag, [])]
        for offsets, counts in _TIFF_DATA:
            pairs = zip(values.get(offsets, []), values.get(counts, []), strict=False)
            end = max([end, *(offset + count for offset, count in pairs)])
    return end


def _tiff_entries(
    content: bytes, order: str, directory: int, n_entries: int
) -> Iterator[tuple[int, int, int, list[int]]]:
    """Yield tag, place and length of each value, and the value where it is made of integers."""
    for number in range(n_entries):
        entry = directory + 2 + 12 * number
        tag, kind, count = struct.unpack_from(f"{order}HHI", content, entry)
        length = _TIFF_SIZES.get(kind, 1) * count
        at = entry + 8 if length <= 4 else struct.unpack_from(f"{order}I", content, entry + 8)[0]
        whole: list[int] = []
        if kind in (3, 4, 13) and _matters(tag):
            if count > MAX_TIFF_VALUES:
                raise Malformed("The file has too many strips.")
            letter = "H" if kind == 3 else "I"
            whole = list(struct.unpack_from(f"{order}{count}{letter}", content, at))
        yield tag, at, length, whole


def _matters(tag: int) -> bool:
    return tag in _TIFF_FURTHER or any(tag in pair for pair in _TIFF_DATA)


_ENDS: Final[dict[str, Callable[[bytes], int]]] = {
    "BMP": _end_of_bmp,
    "JPEG": _end_of_jpeg,
    "PNG": _end_of_png,
    "TIFF": _end_of_tiff,
    "WEBP": _end_of_webp,
}
