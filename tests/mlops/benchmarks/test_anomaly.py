import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mlops.benchmarks import BadFolder, anomaly
from tests.mlops.benchmarks.folders import runs, streams

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")


def silent(_line: str) -> None:
    pass


def test_streams_are_scored_as_nab_does(tmp_path, capsys):
    call_command("benchmark", "anomaly", data=streams(tmp_path), json=tmp_path / "out.json")

    figures = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert set(figures) == {"plant", "all"}
    assert figures["all"]["nab_score"] > 80
    assert figures["all"]["recall"] == 1.0
    said = capsys.readouterr().out
    assert "chosen on them as in NAB" in said
    assert "Windowed Gaussian 39.6" in said


@pytest.mark.parametrize("separator", [";", ","])
def test_runs_are_counted_point_by_point(tmp_path, separator):
    figures = anomaly.run(runs(tmp_path, separator), say=silent)

    assert set(figures) == {"rig", "calm", "all", "all_with_anomaly_free"}
    assert figures["all"]["f1"] > 0.95
    assert figures["all"]["n_points"] == 400
    assert figures["all_with_anomaly_free"]["n_points"] == 800
    assert figures["calm"]["false_alarm_rate"] < 0.05


def test_names_and_order_of_columns_do_not_matter(tmp_path):
    before = anomaly.run(runs(tmp_path), say=silent)["rig"]
    path = tmp_path / "rig" / "1.csv"
    rows = [line.split(";") for line in path.read_text().splitlines()]
    rows[0][1:4] = ["x", "y", "z"]
    path.write_text("\n".join(";".join(row[:1] + row[:0:-1]) for row in rows))

    assert anomaly.run(tmp_path, say=silent)["rig"] == before


def test_labels_change_no_score(tmp_path):
    found: list[str] = []
    anomaly.run(streams(tmp_path), say=found.append)
    windows = tmp_path / "labels" / "combined_windows.json"
    swapped = json.loads(windows.read_text())
    windows.write_text(json.dumps(dict.fromkeys(swapped, swapped["plant/pump.csv"])))
    again: list[str] = []

    anomaly.run(tmp_path, say=again.append)

    assert found[0].split(";")[1] == again[0].split(";")[1]


@pytest.mark.parametrize("missing", ["plant/pump.csv", "plant/calm.csv"])
def test_a_missing_series_is_named(tmp_path, missing):
    for path in streams(tmp_path).glob(f"{missing}*"):
        path.unlink()

    with pytest.raises(CommandError, match=missing):
        call_command("benchmark", "anomaly", data=tmp_path)


def test_a_folder_of_neither_form_is_refused(tmp_path):
    with pytest.raises(BadFolder, match="neither"):
        anomaly.run(tmp_path, say=silent)


def test_a_window_without_rows_is_refused(tmp_path):
    (streams(tmp_path) / "labels" / "combined_windows.json").write_text(
        json.dumps({"plant/calm.csv": [["2030-01-01 00:00:00", "2030-01-02 00:00:00"]]})
    )

    with pytest.raises(BadFolder, match="no row lies in the window"):
        anomaly.run(tmp_path, say=silent)


def test_a_run_that_is_too_short_is_refused(tmp_path):
    path = runs(tmp_path) / "rig" / "1.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:300]))

    with pytest.raises(BadFolder, match=r"1\.csv has 299 rows"):
        anomaly.run(tmp_path, say=silent)


@pytest.mark.parametrize("cell", ["high", "2026-03-99 00:00:00"])
def test_a_broken_field_is_refused(tmp_path, cell):
    path = runs(tmp_path) / "rig" / "1.csv"
    lines = path.read_text().splitlines()
    fields = lines[5].split(";")
    fields[0 if "-" in cell else 1] = cell
    path.write_text("\n".join([*lines[:5], ";".join(fields), *lines[6:]]))

    with pytest.raises(BadFolder, match=r"1\.csv"):
        anomaly.run(tmp_path, say=silent)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "nab").is_dir(), reason=f"NAB is absent at {DATA} (set TAKT_DATA)")
def test_nab_reaches_its_figure():
    assert anomaly.run(DATA / "nab", say=silent)["all"]["nab_score"] >= 55


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "skab").is_dir(), reason=f"SKAB is absent at {DATA} (set TAKT_DATA)"
)
def test_skab_reaches_its_figures():
    figures = anomaly.run(DATA / "skab", say=silent)["all"]

    assert figures["f1"] >= 0.72
    assert figures["false_alarm_rate"] <= 0.25
