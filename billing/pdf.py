"""Papers on A4: a heading, lines that end in amounts, facts, rules; a new page where one is full.

Source: py-pdf.github.io/fpdf2 (the writer), dejavu-fonts.github.io (Latin, Greek and Cyrillic
letters; only those that a paper uses are put into it).
"""

import unicodedata
from collections.abc import Iterable, Set
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fpdf import FPDF

# In points, from the top left. DejaVu is wider than Helvetica: 9 points of it read like 10.
_LEFT, _COLUMN, _RIGHT, _TOP, _BOTTOM = 50, 190, 545, 50, 775
_STEP, _GAP, _SIZE, _HEADING = 15, 15, 9, 18
_FONT = "DejaVu"
_FILES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
_FROM_RIGHT = {"R", "AL"}  # Hebrew, Arabic


class _Cell(NamedTuple):
    x: float
    width: float
    text: str
    align: str = "L"


class Sheet:
    """Pages that are filled from the top; a new one begins where one is full.

    Texts that are too long for their place go on below it. A sign that the font lacks becomes a
    question mark, and so does one written from the right, which would come out backwards.
    """

    def __init__(self, heading: str) -> None:
        self._pdf = _paper()
        self._letters = _letters(self._pdf)
        self._pdf.add_page()
        self._pdf.set_font(_FONT, "B", _HEADING)
        self._pdf.cell(h=2 * _STEP, text=self._written(heading))
        self._pdf.set_y(_TOP + 3 * _STEP)

    def line(self, left: str, right: str = "", *, bold: bool = False) -> None:
        """Write a line; `right` ends where the rules end."""
        pdf = self._style(bold=bold)
        left, right = self._written(left), self._written(right)
        # A point more than it needs, lest rounding breaks it.
        taken = min(pdf.get_string_width(right) + 1, pdf.epw / 2)
        room = pdf.epw - taken - _GAP if right else pdf.epw
        self._row(_Cell(_LEFT, room, left), _Cell(_RIGHT - taken, taken, right, "R"))

    def fact(self, name: str, words: str) -> None:
        """Write what something is called and, in a column of its own, what it is."""
        self._style(bold=False)
        name, words = self._written(name), self._written(words)
        self._row(
            _Cell(_LEFT, _COLUMN - _LEFT - _GAP, name), _Cell(_COLUMN, _RIGHT - _COLUMN, words)
        )

    def rule(self) -> None:
        """Draw a thin line across the page."""
        pdf = self._pdf
        y = pdf.get_y() + _STEP / 4
        pdf.line(_LEFT, y, _RIGHT, y)
        pdf.set_y(pdf.get_y() + _STEP / 2)

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def document(self, *, title: str) -> bytes:
        """Return the paper as PDF; nothing can be written on it any more."""
        self._pdf.set_title(title)
        return bytes(self._pdf.output())

    def _style(self, *, bold: bool) -> "FPDF":
        self._pdf.set_font(_FONT, "B" if bold else "", _SIZE)
        return self._pdf

    def _written(self, text: str) -> str:
        """Return a text in the signs that the font has, marks joined to their letters."""
        return "".join(map(self._sign, unicodedata.normalize("NFC", text))).rstrip()

    def _sign(self, sign: str) -> str:
        if sign.isspace():
            return " "
        known = ord(sign) in self._letters and unicodedata.bidirectional(sign) not in _FROM_RIGHT
        return sign if known else "?"

    def _row(self, *cells: _Cell) -> None:
        """Write texts side by side, each wrapped in its width, on one page where one is enough."""
        pdf = self._pdf
        # The highest is the last, because one that fills a page goes on to the next.
        rising = sorted((cell for cell in cells if cell.text), key=self._height)
        if rising and pdf.will_page_break(self._height(rising[-1])):
            pdf.add_page()
        top = pdf.get_y()
        pdf.set_y(top + _STEP)
        for cell in rising:
            pdf.set_xy(cell.x, top)
            pdf.multi_cell(cell.width, _STEP, cell.text, align=cell.align)

    def _height(self, cell: _Cell) -> float:
        lines = self._pdf.multi_cell(
            cell.width, _STEP, cell.text, align=cell.align, dry_run=True, output="LINES"
        )
        assert isinstance(lines, list)
        return _STEP * len(lines)


def _paper() -> "FPDF":
    """Return an empty document that knows both fonts."""
    from fpdf import FPDF  # takes 0.4 s, and most processes never write a paper

    pdf = FPDF(unit="pt", format="A4")
    pdf.set_margins(_LEFT, _TOP, pdf.w - _RIGHT)
    pdf.set_auto_page_break(True, margin=pdf.h - _BOTTOM)
    pdf.c_margin = 0
    pdf.alias_nb_pages("")  # whoever is called {nb} keeps the name
    pdf.set_draw_color(204)
    pdf.set_line_width(0.5)
    # By its metadata: for a path alone, the library need not be imported.
    library = metadata.distribution("matplotlib")
    for style, file in _FILES.items():
        path = library.locate_file(f"matplotlib/mpl-data/fonts/ttf/{file}")
        pdf.add_font(_FONT, style, str(path))
    return pdf


def _letters(pdf: "FPDF") -> Set[int]:
    """Return the signs that every font of a document has."""
    from fpdf.fonts import TTFFont

    fonts = (font.cmap.keys() for font in pdf.fonts.values() if isinstance(font, TTFFont))
    return frozenset.intersection(*map(frozenset, fonts))
