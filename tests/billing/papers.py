"""What a PDF that the stand-in or Takt wrote says, and where."""

from io import BytesIO
from typing import Any, NamedTuple

from pypdf import PdfReader


class Piece(NamedTuple):
    """A piece of a line; `x`, `y` in points from the bottom left."""

    page: int
    x: float
    y: float
    text: str
    font: str


def pdf_pieces(content: bytes) -> list[Piece]:
    """Return the pieces of a PDF of ours in the order in which they were written."""
    pieces: list[Piece] = []
    for number, page in enumerate(PdfReader(BytesIO(content), strict=True).pages, start=1):

        def see(text: str, _at: Any, place: Any, font: Any, _size: Any, page: int = number) -> None:
            if text.strip():
                name = font["/BaseFont"].partition("+")[2]
                pieces.append(Piece(page, place[4], place[5], text.strip(), name))

        page.extract_text(visitor_text=see)
    return pieces


def pdf_texts(content: bytes) -> list[str]:
    return [piece.text for piece in pdf_pieces(content)]
