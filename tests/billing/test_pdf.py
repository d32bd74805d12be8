"""Papers: letters of Europe, texts that wrap, pages that break."""

import subprocess
import sys

import pytest

from billing.pdf import Sheet
from tests.billing.papers import pdf_pieces, pdf_texts

REGULAR, BOLD = "DejaVuSansBook", "DejaVuSansBold"
LEFT, RIGHT, BOTTOM = 50, 545, 67
NAMES = [
    "Zak\u0142ad \u0141\u00f3d\u017a", "\u010cesk\u00fd k\u016f\u0148",
    "\u0391\u03b8\u03ae\u03bd\u03b1", "\u0417\u0430\u0432\u043e\u0434 \u041a\u0438\u0457\u0432",
]  # fmt: skip


@pytest.fixture
def sheet():
    return Sheet("Paper")


def pieces(sheet):
    return pdf_pieces(sheet.document(title="Paper"))[1:]


@pytest.mark.parametrize("is_bold", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_names_keep_their_letters(sheet, name, is_bold):
    sheet.line(name, bold=is_bold)

    (piece,) = pieces(sheet)

    assert (piece.text, piece.font) == (name, BOLD if is_bold else REGULAR)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Zo\u0065\u0308", "Zo\u00eb"),  # a mark of its own joins its letter
        ("\u4e2d\u6587 Ltd \U0001f642", "?? Ltd ?"),  # Chinese and pictures: no such letters
        ("\u05e9\u05dc\u05d5\u05dd", "????"),  # Hebrew would come out backwards
        ("one\ntwo\tthree\u2028four", "one two three four"),
        ("\x00\ud800", "??"),
        ("{nb} \\(x) **y**", "{nb} \\(x) **y**"),  # signs that the library could take for orders
    ],
)
def test_what_cannot_be_written_becomes_plain(sheet, text, written):
    sheet.line(text)

    assert [piece.text for piece in pieces(sheet)] == [written]


@pytest.mark.parametrize("name", ["W" * 200, "Zak\u0142ad " * 25])
def test_a_long_name_goes_on_below(sheet, name):
    sheet.line(name, "1.00 EUR")
    sheet.line("next")

    amount, *parts, after = pieces(sheet)

    assert "".join(piece.text for piece in parts).replace(" ", "") == name.replace(" ", "")
    assert {piece.x for piece in parts} == {LEFT}
    assert parts[0].y == amount.y
    assert after.y == pytest.approx(amount.y - 15 * len(parts))


# In DejaVu Sans a W has 2025 2048ths of 9 points.
def test_a_long_name_ends_before_the_amount(sheet):
    sheet.line("W" * 200, "1.00 EUR")

    amount, *parts = pieces(sheet)

    assert LEFT + max(len(piece.text) for piece in parts) * 8.899 < amount.x


def test_a_long_name_on_the_right_keeps_to_its_half(sheet):
    sheet.line("Paid by", "Zak\u0142ad " * 25)

    label, *name = pieces(sheet)

    assert len(name) > 1
    assert min(piece.x for piece in name) > (LEFT + RIGHT) / 2 > label.x
    assert name[0].y == label.y


def test_a_long_fact_stays_in_its_column(sheet):
    sheet.fact("Paid by", "Zak\u0142ad " * 25)
    sheet.fact("Card", "Visa")

    label, *name, card, visa = pieces(sheet)

    assert {piece.x for piece in (*name, visa)} == {190}
    assert card.y == visa.y == pytest.approx(label.y - 15 * len(name))


def test_a_new_page_begins_where_one_is_full(sheet):
    for n in range(100):
        sheet.line(f"Part {n}", f"{n}.00 EUR")

    written = pieces(sheet)
    parts, amounts = written[::2], written[1::2]

    assert [piece.text for piece in parts] == [f"Part {n}" for n in range(100)]
    assert [(a.page, a.y) for a in amounts] == [(part.page, part.y) for part in parts]
    assert {piece.page for piece in parts} == {1, 2, 3}
    assert min(piece.y for piece in parts) > BOTTOM


def test_a_wrapped_line_is_kept_on_one_page(sheet):
    for n in range(44):
        sheet.line(f"Part {n}")
    sheet.line("Zak\u0142ad " * 50, "1.00 EUR")

    *parts, amount = (piece for piece in pieces(sheet) if "Zak" not in piece.text)

    assert {piece.page for piece in parts} == {1}
    assert amount.page == 2


def test_a_text_longer_than_a_page_goes_on_to_the_next(sheet):
    sheet.line("Zak\u0142ad " * 1000, "1.00 EUR")
    sheet.line("next")

    written = pieces(sheet)

    assert sum(piece.text.count("Zak\u0142ad") for piece in written) == 1000
    assert (written[-1].text, written[-1].page) == ("next", written[-2].page)
    assert written[-1].y == pytest.approx(written[-2].y - 15)


def test_a_paper_without_words_is_one(sheet):
    sheet.line("")
    sheet.fact("", "")

    assert pdf_texts(sheet.document(title="Paper")) == ["Paper"]


def test_the_library_tells_its_steps_to_nobody(sheet, caplog):
    sheet.line("\u4e2d")

    sheet.document(title="Paper")

    assert not caplog.records


@pytest.mark.slow
def test_neither_the_writer_nor_the_plotting_library_is_loaded_for_nothing():
    code = (
        "import sys; from billing.pdf import Sheet; assert 'fpdf' not in sys.modules; "
        "Sheet('x').document(title='x'); assert 'matplotlib' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
