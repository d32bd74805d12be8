import json
import stat

from config.demo.diary import Diary, FactoryEntry


def _written(path) -> Diary:
    diary = Diary(
        path,
        base_url="https://localhost:8443",
        device_url="https://localhost:8444",
        ca_file="var/ca.pem",
    )
    entry = FactoryEntry("Acme Precision", "acme", "https://acme.localhost:8443")
    entry.users["owner"] = {"email": "petra@acme.example", "password": "secret"}
    entry.api_key, entry.tokens = "takt_api_x", {"Mill 1": "takt_dev_y"}
    diary.factories["acme"] = entry
    diary.facts["days"] = 35.0
    diary.write()
    return diary


def test_it_has_the_form_that_scripts_rely_on(tmp_path):
    _written(tmp_path / "demo.json")

    content = json.loads((tmp_path / "demo.json").read_text())

    assert content["base_url"] == "https://localhost:8443"
    assert content["device_url"] == "https://localhost:8444"
    assert content["ca_file"] == "var/ca.pem"
    assert content["factories"] == [
        {
            "name": "Acme Precision",
            "schema": "acme",
            "url": "https://acme.localhost:8443",
            "users": {"owner": {"email": "petra@acme.example", "password": "secret"}},
            "api_key": "takt_api_x",
            "devices": [{"name": "Mill 1", "token": "takt_dev_y"}],
        }
    ]


def test_it_is_readable_by_its_owner_only_from_its_first_byte(tmp_path):
    _written(tmp_path / "demo.json")

    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600


def test_a_second_run_finds_what_the_first_wrote(tmp_path):
    _written(tmp_path / "demo.json")

    again = Diary.read(tmp_path / "demo.json")

    assert again.factories["acme"].tokens == {"Mill 1": "takt_dev_y"}
    assert again.facts == {"days": 35.0}


def test_a_broken_file_counts_as_none(tmp_path):
    (tmp_path / "demo.json").write_text('{"factories": [{}]}')

    assert Diary.read(tmp_path / "demo.json").factories == {}
