"""Made-up cases: parts that fail when two parameters together leave their range."""

import numpy as np

from mlops.tabular.table import Column, Outcome, Table

COLUMNS = (Column("torque"), Column("speed"), Column("humidity"), Column("supplier", ("A", "B")))


def parts(n=600, *, seed=0, unknown=0.05, noise=0.0):
    """Parts that fail by overload (torque x speed) or, from supplier B, at high torque."""
    rng = np.random.default_rng(seed)
    torque, speed, humidity = rng.normal(40, 10, n), rng.normal(150, 30, n), rng.normal(50, 9, n)
    supplier = rng.integers(0, 2, n).astype(float)
    overload, brittle = torque * speed > 8_000, (supplier == 1) & (torque > 52)
    failed = overload | brittle
    failed ^= rng.random(n) < noise
    values = np.column_stack([torque, speed, humidity, supplier])
    values[rng.random(values.shape) < unknown] = np.nan
    modes = {"overload": overload, "brittle": brittle}
    return Table(COLUMNS, values), Outcome(("fine", "failed"), failed.astype(np.int64), modes)


def experiments(n=12, *, rows=15, effect=3.0, seed=0):
    """Experiments of several rows each and one outcome each; every one has its own offset."""
    rng = np.random.default_rng(seed)
    worn = np.arange(n) % 2
    values = np.vstack(
        [rng.normal(0, 0.3, (rows, 3)) + rng.normal(0, 1, 3) + [effect * w, 0, 0] for w in worn]
    )
    table = Table((Column("current"), Column("x"), Column("y")), values)
    outcome = Outcome(("unworn", "worn"), np.repeat(worn, rows))
    return table, outcome, np.repeat([f"experiment {i}" for i in range(n)], rows)
