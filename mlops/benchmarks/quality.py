"""Quality of parts from process data: tables of parts, and lines in time.

Every file of a folder is a set, `<set>_train` with `<set>_test` beside it one set. Which form it
has is told by what it holds (`quality_forms`); the settings are the same for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mlops.benchmarks import BadFolder, Figures, Say, classify, quality_process, quality_tables
from mlops.benchmarks import quality_forms as forms
from mlops.tabular.table import UnusableTable


def run(
    folder: Path, *, say: Say, target: str | None = None, ignored: Sequence[str] = ()
) -> Figures:
    """Measure every set of a folder.

    Args:
        target: name of the outcome's column, where the rules do not find it.
        ignored: names of columns that must not be inputs.

    Raises:
        BadFolder: no set is there, or one does not fit; says what is missing.
    """
    files = sorted(path for path in folder.glob("*") if path.name.endswith(forms.PLAIN_SUFFIXES))
    whole = [path for path in files if not _is_aside(path, files)]
    if not whole:
        raise BadFolder(f"{folder} holds no table ({', '.join(forms.PLAIN_SUFFIXES)}).")
    return {
        name: _measured(name, train, test, files, say, target, ignored)
        for name, (train, test) in classify.sets_of(whole).items()
    }


def _is_aside(path: Path, files: Sequence[Path]) -> bool:
    """Whether a file only belongs to another one: its labels, or words about it."""
    owners = {forms.stem(other) for other in files if other != path}
    if forms.is_labels(path) and forms.owner(path) in owners:
        return True
    is_named = forms.stem(path).lower() in {"readme", "license", "licence"}
    return is_named or path.suffix == ".names"


def _measured(
    name: str, train: Path, test: Path | None, files: Sequence[Path], say: Say,
    target: str | None, ignored: Sequence[str],
) -> dict[str, float]:  # fmt: skip
    texts = forms.read_texts(train, files)
    time, times_s = forms.time_column(texts)
    if target is None and times_s is not None and quality_process.pairs_of(list(texts)):
        inputs = {n: e for n, e in texts.items() if n != time and n not in ignored}
        return quality_process.run(name, inputs, times_s, say)
    labelled = forms.labelled(texts, told=target, where=train.name)
    answers = None
    if test is not None:
        held_back = forms.read_texts(test, files)
        answers = forms.with_outcome(held_back, labelled)
    try:
        return quality_tables.run(name, labelled, answers, say, ignored)
    except UnusableTable as error:
        raise BadFolder(f"{train.name}: {error}") from error
