import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from django.core.management import call_command

from mlops.benchmarks import (
    BadFolder,
    quality,
    quality_forms,
    quality_process,
    quality_tables,
    tables,
)
from tests.mlops.benchmarks.test_classify import write_parts

DATA = Path(os.environ.get("TAKT_DATA") or Path(__file__).parents[4] / "shared" / "data")
START = datetime(2019, 3, 6, 10, tzinfo=UTC)


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def stamps(n, form, minutes=7):
    return [(START + timedelta(minutes=minutes * i)).strftime(form) for i in range(n)]


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y %H:%M:%S", "%d-%m-%Y %H:%M",
     "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M %p"],
)  # fmt: skip
def test_times_are_read_in_several_forms(form):
    # 32 days, so that day and month cannot be mistaken for each other.
    found = quality_forms.times_of(stamps(400, form, minutes=115))

    assert found is not None
    assert found[0] == START.timestamp()
    assert np.diff(found) == pytest.approx(np.full(399, 115 * 60))


def test_seconds_and_milliseconds_are_times_where_the_name_says_so():
    seconds = [str(int(START.timestamp()) + i) for i in range(3)]

    assert quality_forms.times_of(seconds) is None
    for entries in (seconds, [f"{entry}000" for entry in seconds]):
        found = quality_forms.times_of(entries, numbers=True)
        assert found is not None
        assert found[0] == START.timestamp()


def test_columns_with_one_1_a_row_are_one_outcome():
    texts = {
        "size": ["1.5", "2.5", "3.5"], "is_a": ["1", "0", "1"], "is_b": ["0", "1", "0"],
        "width": ["7", "8", "9"], "scratch": ["1", "0", "0"], "dent": ["0", "0", "1"],
        "stain": ["0", "1", "0"],
    }  # fmt: skip

    found = quality_forms.labelled(texts, told=None, where="x.csv")

    assert found.one_hot == ("scratch", "dent", "stain")
    assert found.texts[found.outcome] == ["scratch", "stain", "dent"]
    assert "scratch" not in found.texts


def test_values_without_a_header_find_their_labels(tmp_path):
    (tmp_path / "line.data").write_text("1.5 NaN 3\n2.5 4 5\n")
    (tmp_path / "line_labels.data").write_text(
        '-1 "19/07/2008 11:55:00"\n1 "19/07/2008 12:32:00"\n'
    )

    texts = quality_forms.read_texts(tmp_path / "line.data", sorted(tmp_path.iterdir()))

    assert texts == {
        "0": ["1.5", "2.5"], "1": ["NaN", "4"], "2": ["3", "5"], "outcome": ["-1", "1"],
        "time": ["19/07/2008 11:55:00", "19/07/2008 12:32:00"],
    }  # fmt: skip


def test_labels_of_another_length_are_refused(tmp_path):
    (tmp_path / "line.data").write_text("1 2\n3 4\n")
    (tmp_path / "line_labels.data").write_text("1\n")

    with pytest.raises(BadFolder, match="as many rows"):
        quality.run(tmp_path, say=print)


@pytest.mark.parametrize("words", [("-1", "1"), ("pass", "fail"), ("OK", "NG"), ("0", "1")])
def test_the_rarer_outcome_is_the_event(words):
    entries = [words[1] if i % 10 == 0 else words[0] for i in range(100)]
    texts = {"x": [str(i / 7) for i in range(100)], "Pass/Fail": entries}

    found = quality_forms.labelled(texts, told=None, where="x.csv")

    assert found.outcome == "Pass/Fail"
    assert tables.classes_of(found.texts[found.outcome]) == words


def test_an_outcome_that_cannot_be_told_is_asked_for():
    texts = {"a": [str(i) for i in range(50)], "b": [str(i / 3) for i in range(50)]}

    with pytest.raises(BadFolder, match="Name it with --target"):
        quality_forms.labelled(texts, told=None, where="x.csv")


@pytest.mark.slow
def test_a_table_is_judged_on_the_test_file_beside_it(tmp_path, capsys):
    write_parts(tmp_path / "mine_train.csv.gz", 500, 0)
    write_parts(tmp_path / "mine_test.csv", 400, 1)

    call_command("benchmark", "quality", data=tmp_path, json=tmp_path / "out.json")

    figures = json.loads((tmp_path / "out.json").read_text())["metrics"]["mine"]
    assert figures["n"] == 400
    assert figures["f1"] > 0.8
    assert {"average_precision", "accuracy", "auc"} <= figures.keys()
    assert "why row" in capsys.readouterr().out


@pytest.mark.slow
def test_several_classes_are_cross_validated_in_rounds(tmp_path, monkeypatch):
    monkeypatch.setattr(quality_tables, "N_ROUNDS", 2)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (240, 2))
    code = (x[:, 0] > 0.5).astype(int) + (x[:, 0] > -0.5)
    rows = [[*values.round(4), *np.eye(3, dtype=int)[k]] for values, k in zip(x, code, strict=True)]
    write(tmp_path / "plates.csv", ["a", "b", "low", "mid", "high"], rows)

    figures = quality.run(tmp_path, say=print)["plates"]

    assert figures["accuracy"] > 0.9
    assert figures["macro_f1"] > 0.9
    assert figures["auc"] > 0.95
    assert figures["accuracy_sd"] >= 0


def write_in_time(path, *, effect):
    """Parts in time: what rejects them is a value, or only the week they were made in."""
    rng = np.random.default_rng(3)
    week = np.arange(600) // 30
    x = rng.normal(0, 1, (600, 3))
    x[:, 2] = rng.normal(0, 1, 20)[week] + rng.normal(0, 0.05, 600)
    chance = np.where(x[:, 0] > 1, 0.8, 0.05) if effect else rng.choice([0.03, 0.6], 20)[week]
    verdict = np.where(rng.random(600) < chance, "NG", "OK")
    rows = [
        [stamp, *values.round(5), "" if i % 3 else 1, 5, said]
        for i, (stamp, values, said) in enumerate(
            zip(stamps(600, "%d/%m/%Y %H:%M"), x, verdict, strict=True)
        )
    ]
    write(path, ["Timestamp", "a", "b", "c", "gaps", "same", "Verdict"], rows)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [True, False])
def test_in_time_order_the_later_parts_decide(tmp_path, effect):
    write_in_time(tmp_path / "line.csv", effect=effect)
    said: list[str] = []

    figures = quality.run(tmp_path, say=said.append)["line"]

    told = "\n".join(said)
    assert "gaps (known in 33% of the cases), same (never changes)" in told
    assert figures["is_served"] == effect
    if effect:
        assert figures["auc_time_ordered"] > 0.75
    else:
        assert figures["auc"] > figures["auc_time_ordered"]
        assert "No evidence of skill in time order: no model is served" in told


def write_line(path, *, seed=0, shuffled=False):
    """Two stages: heat of the first one is seen in the outputs of both, a step and three later."""
    rng = np.random.default_rng(seed)
    n_steps, per_step = 150, 4
    heat = rng.normal(0, 1, n_steps)
    first, second = np.roll(heat, 1), np.roll(heat, 3)
    rows = []
    for i in np.repeat(np.arange(n_steps), per_step):
        noise = rng.normal(0, 0.1, 3)
        rows.append(
            [(START + timedelta(minutes=int(i))).strftime("%d-%m-%Y %H:%M"), heat[i] + noise[0],
             10 + first[i] + noise[1], 10, 0.0 if rng.random() < 0.9 else 7.5, 8, rng.normal(),
             20 + second[i] + noise[2], 20]
        )  # fmt: skip
    if shuffled:
        rng.shuffle(rows)
    header = ["time_stamp", "Oven_Heat", "Out1_Actual", "Out1_Setpoint", "Dead_Actual",
              "Dead_Setpoint", "Press_Speed", "Out2_Actual", "Out2_Setpoint"]  # fmt: skip
    write(path, header, rows)


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_line_in_time_is_forecast_from_its_process_values(tmp_path, shuffled):
    write_line(tmp_path / "line.csv", shuffled=shuffled)
    said: list[str] = []

    figures = quality.run(tmp_path, say=said.append)["line"]

    told = "\n".join(said)
    assert (figures["n_live"], figures["n_stuck"]) == (2, 1)
    assert figures["share_beating_moving_average"] == 1.0
    assert figures["share_helped_by_process_values"] == 1.0
    assert "left out: Dead_Actual: zero or unknown in 9" in told
    assert "strongest: Oven_Heat (2 steps before)" in told
    assert ("put in it first" in told) == shuffled


def test_a_line_of_too_few_steps_is_refused(tmp_path):
    write(tmp_path / "x.csv", ["time", "in", "o_Actual", "o_Setpoint"],
          [[stamp, 1, 2, 3] for stamp in stamps(20, "%Y-%m-%d %H:%M:%S", minutes=1)])  # fmt: skip

    with pytest.raises(BadFolder, match="fewer than 60"):
        quality.run(tmp_path, say=print)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(BadFolder, match="holds no table"):
        quality.run(tmp_path, say=print)


@pytest.mark.slow
def test_the_public_line_beats_its_moving_averages():
    folder = DATA / "continuous_factory_process"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: set TAKT_DATA to the folder of the public data sets.")

    (figures,) = quality.run(folder, say=lambda _line: None).values()

    assert figures["n_live"] >= 20
    assert figures["share_beating_moving_average"] >= 0.6
    assert figures["share_beating_last_value"] >= 0.6


def test_set_points_pair_with_what_is_measured():
    names = ["a_Actual", "a_Setpoint", "b_Set_Point", "c_Actual"]

    assert quality_process.pairs_of(names) == [("a_Actual", "a_Setpoint")]
