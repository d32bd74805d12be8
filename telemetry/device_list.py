"""Lists of devices as CSV: read with every bad line named, written so that no cell is a formula.

Pure: what a line refers to (machines, names that are taken) is passed in.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from telemetry.tags import BadTag, normalised, split

MAX_BYTES = 512 * 1024
MAX_ROWS = 1_000
MAX_NAME, MAX_GROUP, MAX_NOTE = 120, 60, 1_000
COLUMNS = ("name", "group", "tags", "machine", "note")
# What a spreadsheet takes for the beginning of a formula
# (https://owasp.org/www-community/attacks/CSV_Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class BadList(ValueError):
    """The file cannot be read as a list of devices; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Line:
    """A device as a line of the list describes it; lines are counted as an editor shows them."""

    number: int
    name: str
    group: str = ""
    tags: tuple[str, ...] = ()
    machine_id: UUID | None = None
    machine: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that makes no device, and why."""

    number: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceList:
    good: tuple[Line, ...]
    bad: tuple[BadLine, ...]


def text_of(content: bytes) -> str:
    """Return an uploaded file as text.

    Raises:
        BadList: it is too large, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        raise BadList(f"The file has more than {MAX_BYTES // 1024} kB. Split it into several.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadList("The file is not UTF-8. Save it as 'CSV UTF-8' and send it again.") from error


def parse(
    text: str, *, machines: Mapping[str, tuple[UUID, str]], taken: Iterable[str]
) -> DeviceList:
    """Take a list apart; a bad line never sinks the others.

    Args:
        machines: id and name by asset tag.
        taken: names that the factory's devices have.

    Raises:
        BadList: it is too large, has no column "name", or one that is unknown.
    """
    if len(text.encode()) > MAX_BYTES:
        raise BadList(f"The list has more than {MAX_BYTES // 1024} kB. Split it into several.")
    if "\0" in text:
        raise BadList("The list holds a NUL byte. Save it as 'CSV UTF-8' and send it again.")
    rows = _rows(text)
    columns = _columns(rows[0][1] if rows else [])
    if len(rows) - 1 > MAX_ROWS:
        raise BadList(f"The list has {len(rows) - 1} lines; up to {MAX_ROWS} are taken at once.")
    names = set(taken)
    good: list[Line] = []
    bad: list[BadLine] = []
    for number, cells in rows[1:]:
        try:
            line = _line(number, cells, columns, machines, names)
        except ValueError as error:
            bad.append(BadLine(number, ", ".join(cells)[:120], str(error)))
        else:
            names.add(line.name)
            good.append(line)
    return DeviceList(tuple(good), tuple(bad))


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet runs as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def written(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a CSV whose cells are all text."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the lines that hold something, with their numbers; semicolons as Excel writes them."""
    first = text.partition("\n")[0]
    delimiter = max(";\t,", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        begins_at = 1
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((begins_at, [cell.strip() for cell in cells]))
            begins_at = reader.line_num + 1
    except csv.Error as error:
        raise BadList(f"Line {reader.line_num} is no CSV: {error}.") from error
    return rows


def _columns(header: Sequence[str]) -> list[str]:
    columns = [cell.lower() for cell in header]
    known = ", ".join(COLUMNS)
    if "name" not in columns:
        raise BadList(f"The first line must name the columns, one of them 'name' (of {known}).")
    for column in columns:
        if column not in COLUMNS:
            raise BadList(f"The column '{column[:40]}' is unknown; there are {known}.")
        if columns.count(column) > 1:
            raise BadList(f"The column '{column}' is there twice.")
    return columns


def _line(
    number: int,
    cells: Sequence[str],
    columns: Sequence[str],
    machines: Mapping[str, tuple[UUID, str]],
    names: set[str],
) -> Line:
    """Raises ValueError with the reason."""
    if len(cells) > len(columns):
        raise ValueError(f"It has {len(cells)} cells, the first line names {len(columns)} columns.")
    cell = dict.fromkeys(COLUMNS, "") | dict(zip(columns, cells, strict=False))
    if not cell["name"]:
        raise ValueError("It has no name.")
    for column, most in (("name", MAX_NAME), ("group", MAX_GROUP), ("note", MAX_NOTE)):
        if len(cell[column]) > most:
            raise ValueError(f"Its {column} has more than {most} characters.")
    if cell["name"] in names:
        raise ValueError(f"There is a device called '{cell['name']}' already.")
    if cell["machine"] and cell["machine"] not in machines:
        raise ValueError(f"There is no machine with the asset tag '{cell['machine'][:40]}'.")
    try:
        tags = normalised(split(cell["tags"]))
    except BadTag as error:
        raise ValueError(str(error)) from error
    machine_id, machine = machines.get(cell["machine"], (None, ""))
    return Line(number, cell["name"], cell["group"], tuple(tags), machine_id, machine, cell["note"])
