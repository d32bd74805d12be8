import json
import os
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from mlops.benchmarks import vibration
from tests.mlops.vibration.bursts import struck

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")
RATES = {"outer_race": 107.4, "inner_race": 162.2}


@pytest.fixture
def folder(tmp_path):
    """Two races at two loads, and a healthy machine recorded once."""
    arrays, lines = {}, ["record,rpm,load_hp,fault,diameter_mil"]
    for load in (0, 1):
        for seed, (fault, rate) in enumerate(RATES.items()):
            resonance_hz = 2_000 + 1_500 * seed
            burst = struck(rate, resonance_hz=resonance_hz, seed=10 * load + seed)
            arrays[f"{fault}_{load}"] = burst.samples_g.astype(np.float32)
            lines.append(f"{fault}_{load},1797,{load},{fault},7")
    arrays["normal_0"] = struck(100, high=0).samples_g
    lines.append("normal_0,,0,normal,0")
    np.savez(tmp_path / "bursts.npz", **arrays)
    (tmp_path / "records.csv").write_text("\n".join(lines))
    return tmp_path


def test_recordings_are_classified_and_their_lines_compared(folder, capsys):
    call_command("benchmark", "vibration", data=folder, json=folder / "out.json")

    (figures,) = json.loads((folder / "out.json").read_text())["metrics"].values()
    assert figures["accuracy"] == 1.0
    assert figures["accuracy_by_load"] == 1.0
    assert figures["lines_agree"] == 1.0
    assert "'normal' was recorded once" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["records.csv", "bursts.npz"])
def test_a_missing_file_is_named(folder, missing):
    (folder / missing).unlink()

    with pytest.raises(CommandError, match=missing.split(".")[1]):
        call_command("benchmark", "vibration", data=folder)


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "cwru_bearing").is_dir(), reason=f"absent at {DATA} (set TAKT_DATA)"
)
def test_recorded_bearings_are_told_apart_by_recording():
    figures = vibration.run(DATA / "cwru_bearing", say=lambda _line: None)

    assert figures["cwru_bearing"]["accuracy"] >= 0.98
