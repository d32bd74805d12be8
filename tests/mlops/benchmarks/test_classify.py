import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from mlops.benchmarks import BadFolder, classify, tables
from mlops.tabular import skill
from tests.mlops.tabular.cases import experiments, parts

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")


def write(path, header, rows):
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "wt", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_parts(path, n, seed):
    table, outcome = parts(n, seed=seed)
    rows = [
        [i + 1, f"P{i:05d}", *values[:3].round(3), "AB"[int(values[3])] if values[3] >= 0 else "",
         int(code), int(outcome.modes["overload"][i]), int(outcome.modes["brittle"][i])]
        for i, (values, code) in enumerate(zip(table.values, outcome.codes, strict=True))
    ]  # fmt: skip
    header = ["no", "part", "torque", "speed", "humidity", "supplier", "Part failure", "OL", "BR"]
    write(path, header, rows)


@pytest.fixture
def folder(tmp_path):
    write_parts(tmp_path / "mine_train.csv.gz", 500, 0)
    write_parts(tmp_path / "mine_test.csv", 400, 1)
    return tmp_path


@pytest.mark.slow
def test_a_table_is_judged_on_the_test_file_beside_it(folder, capsys):
    call_command("benchmark", "classify", data=folder, json=folder / "out.json")

    figures = json.loads((folder / "out.json").read_text())["metrics"]["mine"]
    assert figures["n"] == 400
    assert figures["f1"] > 0.8
    said = capsys.readouterr().out
    assert "labels of modes, not inputs: OL, BR" in said
    assert "names of cases, not inputs: no, part" in said


@pytest.mark.slow
def test_a_table_alone_is_cross_validated(folder, monkeypatch):
    monkeypatch.setattr(classify, "N_REPEATS", 1)
    (folder / "mine_test.csv").unlink()
    said: list[str] = []

    figures = classify.run(folder, say=said.append)["mine"]

    assert figures["n"] == 500
    assert {"f1", "average_precision", "mcc", "roc_auc", "f1_low", "f1_high"} <= set(figures)
    assert any("cross-validated" in line for line in said)


def test_flags_as_rare_as_the_event_are_not_inputs_beside_modes():
    rng = np.random.default_rng(0)
    event = rng.random(400) < 0.1
    texts = {
        "failure": [str(int(e)) for e in event],
        "heat": [str(int(e)) for e in event & (rng.random(400) < 0.5)],
        "chance": [str(int(e)) for e in rng.random(400) < 0.02],
        "night_shift": [str(int(e)) for e in rng.random(400) < 0.4],
    }

    roles = tables.roles_of(texts, target="failure")

    assert (roles.modes, roles.records, roles.inputs) == (("heat",), ("chance",), ("night_shift",))


def test_the_outcome_must_be_named_where_it_is_not_plain(tmp_path):
    write(tmp_path / "a_train.csv", ["x", "failure", "defect"], [[1, 0, 0], [2, 1, 1]])

    with pytest.raises(CommandError, match="failure, defect: which is the outcome"):
        call_command("benchmark", "classify", data=tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "holds neither"), ("x,failure\n", "no rows"), ("x,failure\n1,2,3\n", "row 2: 3")],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, content, said):
    if content is not None:
        (tmp_path / "a_train.csv").write_text(content)

    with pytest.raises(BadFolder, match=said):
        classify.run(tmp_path, say=lambda _line: None)


def write_experiments(folder, effect):
    table, outcome, groups = experiments(14, rows=330, effect=effect)
    for number, name in enumerate(dict.fromkeys(groups)):
        rows = [
            [*values.round(3), 7, outcome.classes[code]]
            for values, code in zip(
                table.values[groups == name], outcome.codes[groups == name], strict=True
            )
        ]
        header = [*(column.name for column in table.columns), "program", "state"]
        write(folder / f"experiment_{number:02d}.csv", header, rows)


@pytest.mark.slow
@pytest.mark.parametrize(("effect", "has_skill"), [(0.0, 0.0), (8.0, 1.0)])
def test_experiments_show_skill_where_it_is_there(tmp_path, monkeypatch, effect, has_skill):
    monkeypatch.setattr(skill, "N_REFITS", 19)
    write_experiments(tmp_path, effect)
    said: list[str] = []

    (figures,) = classify.run(tmp_path, say=said.append).values()

    assert figures["has_skill"] == has_skill
    assert (figures["accuracy"] > 0.9) == bool(has_skill)
    assert ("  no evidence of skill: no model is served" in said) != bool(has_skill)
    assert not any("program" in line for line in said)  # a setting, not a measurement


def test_few_experiments_are_not_enough(tmp_path):
    write_experiments(tmp_path, 8.0)
    for number in range(4, 14):
        (tmp_path / f"experiment_{number:02d}.csv").unlink()
    said: list[str] = []

    (figures,) = classify.run(tmp_path, say=said.append).values()

    assert figures["has_skill"] == 0.0
    assert any("Not enough data" in line for line in said)


@pytest.mark.slow
@pytest.mark.skipif(
    not (DATA / "cnc_mill_tool_wear").is_dir(), reason=f"absent at {DATA} (set TAKT_DATA)"
)
def test_tool_wear_that_does_not_carry_over_is_not_claimed():
    figures = classify.run(DATA / "cnc_mill_tool_wear", say=lambda _line: None)

    assert figures["cnc_mill_tool_wear"]["has_skill"] == 0.0
