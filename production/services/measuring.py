"""What was measured against its limits, and the verdict that follows from it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from production.models import Characteristic, DefectType, Inspection, Measurement, Verdict
from production.services.inspection_plans import MAX_VALUE
from production.services.refusals import Invalid, Refused, Unknown

Kind = Characteristic.Kind
MAX_COUNT = 1_000_000
MAX_MEASURED = 2_000


class Contradiction(Refused):
    """A verdict does not fit what was measured, and no person says why."""

    code = "contradiction"


class NothingSaid(Refused):
    """An inspection without a verdict and without anything from which one follows."""

    code = "nothing_said"

    def __init__(self) -> None:
        super().__init__("Say pass or fail, or give what was measured.")


@dataclass(frozen=True, slots=True)
class Measured:
    """A characteristic of one piece, by name: a value in its unit, or whether it is good."""

    characteristic: str
    value: float | None = None
    is_good: bool | None = None
    piece_no: int = 1
    gauge: str = ""
    uncertainty: float | None = None


def is_within(value: float, characteristic: Characteristic) -> bool:
    """Say whether a value lies within the limits; the limits themselves are good."""
    low, high = characteristic.lower_limit, characteristic.upper_limit
    return (low is None or value >= low) and (high is None or value <= high)


def rows_of(
    measured: Sequence[Measured], characteristics: Sequence[Characteristic], *, at: datetime
) -> list[Measurement]:
    """Return the rows of what was measured, not stored yet.

    Raises:
        Unknown: the plan has no such characteristic.
        Invalid: a value is missing, is no number, or is given twice.
    """
    if len(measured) > MAX_MEASURED:
        raise Invalid(f"An inspection holds at most {MAX_MEASURED} values.")
    known = {row.name: row for row in characteristics}
    rows: dict[tuple[str, int], Measurement] = {}
    for each in measured:
        characteristic = known.get(each.characteristic)
        if characteristic is None:
            raise Unknown("characteristic", each.characteristic)
        key = (each.characteristic, each.piece_no)
        if key in rows:
            raise Invalid(f"{each.characteristic} is given twice for one piece.")
        rows[key] = _row(each, characteristic, at=at)
    return list(rows.values())


def _row(each: Measured, characteristic: Characteristic, *, at: datetime) -> Measurement:
    value, is_good = each.value, each.is_good
    if characteristic.kind == Kind.VARIABLE:
        if value is None or not (isfinite(value) and abs(value) <= MAX_VALUE):
            raise Invalid(f"{each.characteristic}: give a value in {characteristic.unit or 'it'}.")
        is_good = is_within(value, characteristic)
    elif is_good is None:
        raise Invalid(f"{each.characteristic}: say whether it is good.")
    elif value is not None:
        raise Invalid(f"{each.characteristic} is judged, not measured.")
    return Measurement(
        characteristic=characteristic, piece_no=each.piece_no, value=value, is_within=is_good,
        gauge=each.gauge or characteristic.gauge, uncertainty=each.uncertainty, measured_at=at,
    )  # fmt: skip


def verdict_of(rows: Sequence[Measurement], characteristics: Sequence[Characteristic]) -> str:
    """Return the verdict that follows: fail with one value out, pass when all is in.

    Where something of the plan was not looked at, nothing is out, and so nothing is clear.
    """
    if any(not row.is_within for row in rows):
        return Verdict.FAIL
    seen = {row.characteristic.name for row in rows}
    is_all = bool(seen) and all(row.name in seen for row in characteristics)
    return Verdict.PASS if is_all else Verdict.UNCLEAR


def agree(
    verdict: str,
    rows: Sequence[Measurement],
    characteristics: Sequence[Characteristic],
    *,
    defects: Mapping[str, int],
    source: str,
    note: str,
) -> str:
    """Return the verdict of an inspection: the given one, or what follows from its values.

    A person may overrule the values, with a note. A part may fail for what no value shows: then
    a defect or a note says for what.

    Raises:
        NothingSaid: neither a verdict nor anything measured or found.
        Contradiction: the verdict and the values cannot both be right.
    """
    if not verdict:
        if not rows and not defects:
            raise NothingSaid
        return Verdict.FAIL if defects else verdict_of(rows, characteristics)
    is_overruled = source == Inspection.Source.PERSON and bool(note.strip())
    out = [row.characteristic.name for row in rows if not row.is_within]
    if verdict == Verdict.PASS and (out or defects) and not is_overruled:
        what = f"{out[0]} is out of its limits" if out else "a defect is named"
        raise Contradiction(f"It cannot pass: {what}. A person may overrule this with a note.")
    is_all_in = verdict_of(rows, characteristics) == Verdict.PASS
    if verdict == Verdict.FAIL and is_all_in and not defects and not note.strip():
        raise Contradiction("All values are within their limits: name a defect or add a note.")
    return verdict


def defect_counts(
    rows: Sequence[Measurement], defects: Mapping[str, int], *, verdict: str
) -> dict[DefectType, int]:
    """Return the defects that a verdict names, with those of the values that are out.

    Raises:
        Unknown: nobody knows such a defect.
        Invalid: a count lies out of range.
    """
    found = {row.code: row for row in DefectType.objects.filter(code__in=list(defects))}
    counts: dict[DefectType, int] = {}
    for code, count in defects.items():
        if code not in found:
            raise Unknown("defect", code)
        if not 1 <= count <= MAX_COUNT:
            raise Invalid(f"{found[code].name}: the count lies out of range.")
        counts[found[code]] = count
    if verdict == Verdict.FAIL:
        out = Counter(
            row.characteristic.defect_type
            for row in rows
            if not row.is_within and row.characteristic.defect_type is not None
        )
        for defect_type, count in out.items():
            if defect_type is not None:
                counts.setdefault(defect_type, count)
    return counts
