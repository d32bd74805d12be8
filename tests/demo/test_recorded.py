import gzip

import pytest

from config.demo import recorded

ROWS = "unit,cycle,a,b\n1,1,0.5,7\n1,2,0.6,8\n2,1,0.4,9\n2,2,0.5,9\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("train_FD007", "test_FD007"):
        with gzip.open(tmp_path / f"{name}.csv.gz", "wt") as file:
            file.write(ROWS)
    (tmp_path / "RUL_FD007.csv").write_text("unit,RUL\n1,30\n2,44\n")
    return tmp_path


def test_a_folder_of_recorded_lives_is_read_as_it_lies(folder, monkeypatch):
    monkeypatch.delenv("SUBSET", raising=False)

    data = recorded.choose(folder)

    assert (data.name, data.signals, len(data.train), len(data.test)) == ("FD007", ("a", "b"), 2, 2)
    assert data.train[0].usage.tolist() == [1, 2]
    assert data.left.tolist() == [30, 44]


def test_another_folder_is_refused_with_what_is_understood(tmp_path):
    (tmp_path / "orders.csv").write_text("order,quantity\n")

    with pytest.raises(ValueError, match=r"train_<set>, test_<set> and RUL_<set>"):
        recorded.choose(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        recorded.choose(tmp_path / "nowhere")


def test_a_set_that_is_asked_for_and_missing_is_named(folder, monkeypatch):
    monkeypatch.setenv("SUBSET", "FD009")

    with pytest.raises(ValueError, match="FD009"):
        recorded.choose(folder)
