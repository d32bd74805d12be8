import numpy as np
import pytest

from mlops.quality.screening import screen
from mlops.tabular.table import Column, Table, UnusableTable


def test_columns_that_say_nothing_are_left_out_with_the_reason():
    varied = np.arange(10.0)
    mostly_gone = np.where(varied < 4, varied, np.nan)
    values = np.column_stack([varied, np.full(10, 3.0), mostly_gone, varied])
    table = Table(tuple(Column(name) for name in "abcd"), values)

    found = screen(table)

    assert [c.name for c in found.of(table).columns] == ["a"]
    assert found.dropped == {
        "b": "never changes", "c": "known in 40% of the cases", "d": "the same as a",
    }  # fmt: skip


def test_a_table_that_never_changes_is_refused():
    with pytest.raises(UnusableTable, match="No column changes"):
        screen(Table((Column("a"),), np.ones((5, 1))))
