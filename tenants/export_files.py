"""What an export of everything is made of: files, whose content comes in pieces."""

import csv
import io
import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

# Each piece, and what it says when it has been read: how many rows it held, where it has rows.
Content = Generator[bytes, None, int | None]
# A spreadsheet takes a cell that begins like this for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_PIECE_CHARACTERS: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class ExportFile:
    """A file of the ZIP; `is_packed` where compressing it again would gain nothing."""

    path: str
    about: str
    content: Content
    is_packed: bool = False


def csv_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Content:
    """Yield rows as CSV, a piece at a time; say how many there were."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    n_rows = 0
    for row in rows:
        writer.writerow(row)
        n_rows += 1
        if out.tell() > _PIECE_CHARACTERS:
            yield _taken(out)
    yield _taken(out)
    return n_rows


def _taken(out: io.StringIO) -> bytes:
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    return text.encode()


def harmless(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def json_of(content: Any) -> Content:
    """Yield something as one JSON file."""
    yield json.dumps(content, indent=1, ensure_ascii=False, default=str).encode()
    return None


def bytes_of(content: bytes) -> Content:
    """Yield something as one piece."""
    yield content
    return None
