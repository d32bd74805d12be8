"""Which columns of a table can say anything at all; outcomes are not looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from mlops.regimes import IntArray
from mlops.tabular.table import Table, UnusableTable

# Of a column known in fewer cases, what is learnt is mostly whether it was known.
MIN_SHARE_KNOWN = 0.5


@dataclass(frozen=True, slots=True)
class Screened:
    """What is left of a table.

    Attributes:
        kept: places of the columns that are left.
        dropped: name of each other column and why.
    """

    kept: IntArray
    dropped: dict[str, str]

    def of(self, table: Table) -> Table:
        """Return the table with the columns that are left."""
        columns = tuple(table.columns[i] for i in self.kept)
        return Table(columns, table.values[:, self.kept])


def screen(table: Table) -> Screened:
    """Leave out columns that are mostly unknown, never change, or repeat another one.

    Raises:
        UnusableTable: nothing is left.
    """
    kept: list[int] = []
    dropped: dict[str, str] = {}
    seen: dict[bytes, str] = {}
    for place, column in enumerate(table.columns):
        values = table.values[:, place]
        known = values[~np.isnan(values)]
        content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
        if len(known) < MIN_SHARE_KNOWN * len(values):
            dropped[column.name] = f"known in {len(known) / max(len(values), 1):.0%} of the cases"
        elif len(known) == 0 or np.all(known == known[0]):
            dropped[column.name] = "never changes"
        elif content in seen:
            dropped[column.name] = f"the same as {seen[content]}"
        else:
            seen[content] = column.name
            kept.append(place)
    if not kept:
        raise UnusableTable("No column changes from case to case.")
    return Screened(np.array(kept, dtype=np.int64), dropped)
