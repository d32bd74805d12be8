"""Kinds of bearing fault in recorded vibration.

A folder of this form holds *.npz with one array of acceleration [g] a recording, and
records.csv: record, rpm, load_hp, fault, diameter_mil (further columns are not read). Windows
of 2,048 samples are classified and nothing of a recording is ever on both sides, with one
exception that is said aloud: a fault (or the healthy state) that was recorded once only is
split in time, its second half judged by its first, with a gap between.

Two further figures are harder. By load: everything recorded at one load judges what was learnt
at the other(s). By bearing: both recordings of one damage (fault and diameter) are held back,
so the damage itself was never heard before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn import metrics

from mlops.benchmarks import BadFolder, tables
from mlops.lives import FloatArray
from mlops.regimes import IntArray
from mlops.tabular.table import BoolArray, column_of
from mlops.vibration import faults
from mlops.vibration.bearing import Geometry, Part, diagnose
from mlops.vibration.levels import Burst, UnusableBurst

Say = Callable[[str], None]

RATE_HZ = 12_000.0
# The test rig's drive-end bearing, 6205-2RS.
BEARING = Geometry(n_elements=9, element_mm=0.3126 * 25.4, pitch_mm=1.537 * 25.4)
PART_OF = {
    "outer_race": Part.OUTER_RACE, "inner_race": Part.INNER_RACE, "ball": Part.ROLLING_ELEMENT,
    "normal": None,
}  # fmt: skip
# Of a recording split in time: learnt from before, judged from after.
SPLIT = (0.5, 0.55)

PUBLISHED = (
    "across loads, CNNs 90 to 99 % (WDCNN about 90 to 95 %); random windows 99 to 100 %, a leak. "
    "Envelope lines: ball faults and several others of this rig are known to be hard (Smith and "
    "Randall, MSSP 2015)"
)


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording; speed is None where not known."""

    name: str
    samples_g: FloatArray
    speed_rpm: float | None
    load: str
    fault: str
    diameter: str


def run(folder: Path, *, say: Say) -> dict[str, dict[str, float]]:
    """Measure a folder of recordings.

    Raises:
        BadFolder: a file is missing or does not fit; says which.
    """
    recordings = read(folder)
    name = folder.resolve().name
    started = time.monotonic()
    figures = _classified(name, recordings, say)
    figures["train_s"] = time.monotonic() - started
    figures |= _lines(recordings, say)
    say(f"  published: {PUBLISHED}")
    return {name: {key: round(value, 4) for key, value in figures.items()}}


def read(folder: Path) -> list[Recording]:
    """Read recordings in the order of records.csv.

    Raises:
        BadFolder: a file, a column or a recording is missing.
    """
    if not (folder / "records.csv").is_file():
        raise BadFolder(f"{folder} holds no records.csv.")
    texts = tables.read_texts(folder / "records.csv")
    for column in ("record", "rpm", "load_hp", "fault", "diameter_mil"):
        if column not in texts:
            raise BadFolder(f"records.csv has no column {column!r}.")
    arrays: dict[str, FloatArray] = {}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            arrays |= {key: np.asarray(stored[key], dtype=np.float64).ravel() for key in stored}
    missing = [record for record in texts["record"] if record not in arrays]
    if missing:
        raise BadFolder(f"{folder} holds no *.npz with the recording {missing[0]!r}.")
    _column, speeds = column_of("rpm", texts["rpm"])
    return [
        Recording(
            record, arrays[record], None if np.isnan(speed) else float(speed), load, fault, size
        )
        for record, speed, load, fault, size in zip(
            texts["record"], speeds, texts["load_hp"], texts["fault"], texts["diameter_mil"],
            strict=True,
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows of all recordings.

    Attributes:
        record, damage, load: (n_windows,) what each belongs to.
        early, late: (n_windows,) before and after the gap of its recording.
    """

    samples: FloatArray
    codes: IntArray
    kinds: tuple[str, ...]
    record: IntArray
    damage: IntArray
    load: IntArray
    early: BoolArray
    late: BoolArray

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> _Windows:
        try:
            cut = [faults.windows_of(one.samples_g) for one in recordings]
        except UnusableBurst as error:
            raise BadFolder(str(error)) from error
        counts = [len(windows) for windows in cut]
        kinds = tuple(sorted({one.fault for one in recordings}))
        place = np.concatenate([np.arange(n) / n for n in counts])

        def by(keys: Sequence[str]) -> IntArray:
            _names, codes = np.unique(np.asarray(keys), return_inverse=True)
            return np.repeat(codes.astype(np.int64), counts)

        return cls(
            np.vstack(cut), by([one.fault for one in recordings]), kinds,
            by([one.name for one in recordings]),
            by([f"{one.fault} {one.diameter}" for one in recordings]),
            by([one.load for one in recordings]), place < SPLIT[0], place >= SPLIT[1],
        )  # fmt: skip


def _classified(name: str, recordings: Sequence[Recording], say: Say) -> dict[str, float]:
    windows = _Windows.of(recordings)
    if len(windows.kinds) < 2:
        raise BadFolder("Every recording has the same fault: there is nothing to tell apart.")
    say(
        f"{name}: {len(recordings)} recordings, {len(windows.codes)} windows of "
        f"{faults.N_SAMPLES} samples, faults {', '.join(windows.kinds)}"
    )
    called, judged = _judged(windows, windows.record)
    truth = windows.codes[judged]
    figures = {
        "accuracy": float(np.mean(called[judged] == truth)),
        "macro_f1": float(metrics.f1_score(truth, called[judged], average="macro")),
        "n_windows": float(judged.sum()), "n_records": float(len(recordings)),
    }  # fmt: skip
    for code in _recorded_once(windows, windows.record):
        say(
            f"  {windows.kinds[code]!r} was recorded once: the part after {SPLIT[1]:.0%} of it "
            f"is judged by the part before {SPLIT[0]:.0%}"
        )
    say(
        f"  by recording: accuracy {figures['accuracy']:.4f}, macro F1 {figures['macro_f1']:.4f} "
        f"on {judged.sum()} windows"
    )
    for figure, groups, what in (
        ("accuracy_by_load", windows.load, "by load (learnt at the others)"),
        ("accuracy_by_bearing", windows.damage, "by bearing (damage never heard before)"),
    ):
        called, judged = _judged(windows, groups)
        if judged.any():
            figures[figure] = float(np.mean(called[judged] == windows.codes[judged]))
            say(f"  {what}: accuracy {figures[figure]:.4f} on {judged.sum()} windows")
    return figures


def _recorded_once(windows: _Windows, groups: IntArray) -> list[int]:
    """Return the faults that are in one group only."""
    return [
        code for code in range(len(windows.kinds))
        if len(np.unique(groups[windows.codes == code])) == 1
    ]  # fmt: skip


def _judged(windows: _Windows, groups: IntArray) -> tuple[IntArray, BoolArray]:
    """Return what each window is called by a model without its group, and which were judged.

    Early windows of a fault that is in one group only are learnt from in every turn, its late
    ones are judged in every turn and their last word counts.
    """
    called = np.full(len(windows.codes), -1, dtype=np.int64)
    once = np.isin(windows.codes, _recorded_once(windows, groups))
    for group in np.unique(groups):
        own = (groups == group) & ~once
        if not own.any():
            continue
        learnt = ((groups != group) & ~once) | (once & windows.early)
        asked = own | (once & windows.late)
        here = np.unique(windows.codes[learnt])
        if not np.isin(windows.codes[own], here).all():
            continue
        model = faults.fit(
            windows.samples[learnt], np.searchsorted(here, windows.codes[learnt]),
            [windows.kinds[code] for code in here], rate_hz=RATE_HZ,
        )  # fmt: skip
        said = here[model.called(windows.samples[asked], rate_hz=RATE_HZ)]
        # A wrong word in any turn stays: the late windows are never judged by their best turn.
        before = called[asked]
        was_wrong = (before >= 0) & (before != windows.codes[asked])
        called[asked] = np.where(was_wrong, before, said)
    return called, called >= 0


def _lines(recordings: Sequence[Recording], say: Say) -> dict[str, float]:
    """Compare the envelope's lines with the labels, for the faults that have lines."""
    known = [one for one in recordings if one.speed_rpm is not None and one.fault in PART_OF]
    agree: dict[str, list[bool]] = {}
    n_damaged = n_named = 0
    for one in known:
        found = diagnose(
            Burst(one.samples_g, RATE_HZ, one.speed_rpm), BEARING, bearing="drive-end bearing"
        )
        right = found.damaged is PART_OF[one.fault]
        agree.setdefault(one.fault, []).append(right)
        if found.damaged is not None:
            n_named += 1
            n_damaged += right
        say(f"  {one.name}: {found.sentence}{'' if right else ' [label: ' + one.fault + ']'}")
    if not known:
        return {}
    share = float(np.mean([right for rights in agree.values() for right in rights]))
    by_fault = ", ".join(f"{fault} {sum(r)} of {len(r)}" for fault, r in sorted(agree.items()))
    say(
        f"  envelope lines agree with the label in {share:.0%} of {len(known)} recordings with "
        f"a known speed ({by_fault}); where a part was named, {n_damaged} of {n_named} are right"
    )
    figures = {"lines_agree": share, "n_lines": float(len(known))}
    return figures | ({"lines_named_right": n_damaged / n_named} if n_named else {})
