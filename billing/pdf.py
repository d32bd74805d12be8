"""A small PDF writer: A4 pages of Helvetica text and rules, nothing else.

Source: ISO 32000-1 (PDF 1.7), sections 7.5 (file structure), 9.6.2.2 (standard fonts).
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH, HEIGHT = 595, 842
# Widths of Helvetica in thousandths of the size (Adobe Core 14 AFM), of what an amount is written
# with; amounts are set flush right with them. Other characters count as a digit.
_DIGIT = 556
_WIDTHS = {
    **dict.fromkeys(" .,/I", 278),
    **dict.fromkeys("-()", 333),
    "J": 500,
    **dict.fromkeys("FTZ", 611),
    **dict.fromkeys("ABEKPSVXY", 667),
    **dict.fromkeys("CDHNRU", 722),
    **dict.fromkeys("GOQ", 778),
    "M": 833,
    "W": 944,
}
_LEFT, _COLUMN, _RIGHT, _BOTTOM = 50, 190, 545, 770
_STEP = 15
# Letters outside the font's encoding that Unicode does not take apart.
_PLAIN = {"Ł": "L", "ł": "l", "Đ": "D", "đ": "d", "Ħ": "H", "ħ": "h"}


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `x`, `y` in points from the top left, `right` sets it flush right at x."""

    x: float
    y: float
    text: str
    size: int = 10
    bold: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A thin horizontal line across the page."""

    y: float


Mark = Text | Rule


class Sheet:
    """Pages that are filled from the top; a new one begins where one is full."""

    def __init__(self, heading: str) -> None:
        self._pages: list[list[Mark]] = [[Text(_LEFT, 70, heading, 20, bold=True)]]
        self._y = 105.0

    def line(self, left: str, right: str = "", *, bold: bool = False) -> None:
        """Write a line; `right` is set flush right, so let it be an amount or a date."""
        if self._y > _BOTTOM:
            self._pages.append([])
            self._y = 60.0
        page = self._pages[-1]
        page.append(Text(_LEFT, self._y, left[:90], bold=bold))
        if right:
            page.append(Text(_RIGHT, self._y, right, bold=bold, right=True))
        self._y += _STEP

    def fact(self, name: str, words: str) -> None:
        """Write what something is called and, in a column of its own, what it is."""
        self.line(name)
        self._pages[-1].append(Text(_COLUMN, self._y - _STEP, words[:70]))

    def rule(self) -> None:
        self._pages[-1].append(Rule(self._y - _STEP / 2))
        self._y += _STEP / 2

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def document(self, *, title: str) -> bytes:
        return document(self._pages, title=title)


def document(pages: list[list[Mark]], *, title: str) -> bytes:
    """Return a PDF of these pages."""
    n_pages = len(pages)
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(n_pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {n_pages} >>".encode(),
        _font("Helvetica"),
        _font("Helvetica-Bold"),
    ]
    for n, page in enumerate(pages):
        stream = b"\n".join(_drawn(mark) for mark in page)
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH} {HEIGHT}] "
            "/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> "
            f"/Contents {6 + 2 * n} 0 R >>".encode()
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream")
    objects.append(b"<< /Title (" + _escaped(title) + b") >>")
    return _file(objects)


def _font(name: str) -> bytes:
    return (
        f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()
    )


def _file(objects: list[bytes]) -> bytes:
    out, places = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start, count = len(out), len(objects) + 1
    out += f"xref\n0 {count}\n0000000000 65535 f \n".encode()
    out += b"".join(f"{place:010d} 00000 n \n".encode() for place in places)
    trailer = f"trailer\n<< /Size {count} /Root 1 0 R /Info {count - 1} 0 R >>\n"
    return bytes(out) + f"{trailer}startxref\n{start}\n%%EOF\n".encode()


def _fitting(sign: str) -> str:
    """Return a sign, or its plain letter where the font has none with its marks: Łódź as Lódz."""
    try:
        sign.encode("cp1252")
    except UnicodeEncodeError:
        plain = unicodedata.normalize("NFKD", sign).encode("cp1252", "ignore").decode("cp1252")
        return plain or _PLAIN.get(sign, "?")
    return sign


def _escaped(text: str) -> bytes:
    raw = "".join(map(_fitting, text)).encode("cp1252")
    for sign in (b"\\", b"(", b")"):
        raw = raw.replace(sign, b"\\" + sign)
    return raw


def _drawn(mark: Mark) -> bytes:
    if isinstance(mark, Rule):
        y = HEIGHT - mark.y
        return f"0.8 G 0.5 w 50 {y:.1f} m {WIDTH - 50} {y:.1f} l S".encode()
    x = mark.x - _width(mark) if mark.right else mark.x
    font = "F2" if mark.bold else "F1"
    place = f"BT /{font} {mark.size} Tf {x:.1f} {HEIGHT - mark.y:.1f} Td (".encode()
    return place + _escaped(mark.text) + b") Tj ET"


def _width(mark: Text) -> float:
    return sum(_WIDTHS.get(sign, _DIGIT) for sign in mark.text) * mark.size / 1000
