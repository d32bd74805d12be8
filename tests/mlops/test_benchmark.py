import gzip
import json

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from mlops.maintenance import run_to_failure
from tests.mlops.wear import fleet, worn_life


def rows(unit, life):
    return [[unit, i + 1, *values] for i, values in enumerate(life.values.round(4).tolist())]


@pytest.fixture
def folder(tmp_path):
    """A set as anybody could bring it: plain numbers parted by blanks, gzipped CSV for the test."""
    train = [row for i, life in enumerate(fleet(), 1) for row in rows(i, life)]
    left = [3, 20, 60]
    test = [
        row
        for i, n in enumerate(left, 1)
        for row in rows(i, worn_life("t", length=80, seed=200 + i).until(80 - n))
    ]
    text = "\n".join(" ".join(map(str, row)) for row in train)
    (tmp_path / "train_mine.txt").write_text(text)
    with gzip.open(tmp_path / "test_mine.csv.gz", "wt") as file:
        file.write("\n".join(",".join(map(str, row)) for row in test))
    (tmp_path / "RUL_mine.csv").write_text("left\n" + "\n".join(map(str, left)))
    return tmp_path


def test_any_folder_of_the_form_is_measured(folder, capsys):
    call_command("benchmark", "maintenance", data=folder, json=folder / "out.json", cap="auto")

    figures = json.loads((folder / "out.json").read_text())["metrics"]["mine"]
    assert {"rmse_capped", "rmse_uncapped", "nasa_score", "coverage_90", "train_s"} <= set(figures)
    assert figures["rmse_capped"] < 8
    said = capsys.readouterr().out
    assert "truth capped" in said
    assert "truth as it is" in said


def test_units_and_steps_are_read_as_lives(folder):
    (data,) = run_to_failure.read_all(folder)

    assert len(data.train) == 12
    assert data.train[0].failed
    assert [len(life) for life in data.test] == [77, 60, 20]
    assert np.array_equal(data.left, [3, 20, 60])


def test_units_too_short_to_forecast_are_counted_apart(folder):
    with (folder / "RUL_mine.csv").open("a") as file:
        file.write("\n70")
    with gzip.open(folder / "test_mine.csv.gz", "at") as file:
        file.write("\n4,1,40,55,1.5")

    call_command("benchmark", "maintenance", data=folder, json=folder / "out.json")

    figures = json.loads((folder / "out.json").read_text())["metrics"]["mine"]
    assert (figures["n"], figures["n_refused"]) == (3.0, 1.0)


def test_steps_that_do_not_increase_are_refused(folder):
    with (folder / "train_mine.txt").open("a") as file:
        file.write("\n1 1 40 55 1.5")

    with pytest.raises(CommandError, match="usage must increase"):
        call_command("benchmark", "maintenance", data=folder)


@pytest.mark.parametrize("missing", ["test_mine.csv.gz", "RUL_mine.csv"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()

    with pytest.raises(CommandError, match=missing.split(".")[0]):
        call_command("benchmark", "maintenance", data=folder)


def test_a_broken_row_is_refused(folder):
    with (folder / "train_mine.txt").open("a") as file:
        file.write("\n1 2 three 4 5")

    with pytest.raises(CommandError, match="not every row"):
        call_command("benchmark", "maintenance", data=folder)
