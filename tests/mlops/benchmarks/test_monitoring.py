import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mlops.benchmarks import monitoring
from tests.mlops.benchmarks.folders import process

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")
TEP = DATA / "tennessee_eastman"


def test_a_fault_is_detected_and_its_variable_named(tmp_path, capsys):
    call_command("benchmark", "monitoring", data=process(tmp_path), json=tmp_path / "out.json")

    figures = json.loads((tmp_path / "out.json").read_text())["metrics"]
    assert figures["d01"]["detection_rate"] > 0.98
    assert figures["d01"]["delay_rows"] <= 1
    assert figures["all"]["false_alarm_rate"] < 0.04
    assert "most deviating: X2" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["d00", "d00_te", "d01_te"])
def test_a_missing_file_is_named(tmp_path, missing):
    (process(tmp_path) / f"{missing}.csv.gz").unlink()

    with pytest.raises(CommandError, match=rf"{missing}\.csv"):
        call_command("benchmark", "monitoring", data=tmp_path)


def test_files_of_other_kinds_are_left_alone(tmp_path):
    before = monitoring.run(process(tmp_path), say=lambda _line: None)
    (tmp_path / "d01.csv").write_text("broken")

    assert monitoring.run(tmp_path, say=lambda _line: None) == before


def test_other_columns_are_refused(tmp_path):
    (process(tmp_path) / "d02_te.csv").write_text("X1,X2\n" + "1,2\n" * 200)

    with pytest.raises(CommandError, match="d02_te has other columns"):
        call_command("benchmark", "monitoring", data=tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not TEP.is_dir(), reason=f"absent at {TEP} (set TAKT_DATA)")
def test_tennessee_eastman_reaches_its_figures():
    figures = monitoring.run(TEP, say=lambda _line: None)["all"]

    assert figures["detection_rate"] >= 0.69
    assert figures["false_alarm_rate"] <= 0.02
