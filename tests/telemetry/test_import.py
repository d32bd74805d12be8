"""Many devices at once: every bad line is named, the good ones get their tokens once."""

from uuid import UUID

import pytest

from production import services as production_services
from telemetry import device_list, services
from telemetry.device_list import BadList
from telemetry.models import Device
from tenants.credentials import digest
from tenants.models import AuditEntry, Credential

PRESS = UUID(int=7)
MACHINES = {"press-7": (PRESS, "Press 7")}


def parse(text, taken=()):
    return device_list.parse(text, machines=MACHINES, taken=taken)


def test_a_line_becomes_a_device_with_all_that_it_says():
    found = parse("name,group,tags,machine,note\nGate,Hall 2,B|a b,press-7,Door\n")

    (line,) = found.good
    assert (line.number, line.name, line.group, line.note) == (2, "Gate", "Hall 2", "Door")
    assert (line.tags, line.machine_id, line.machine) == (("a", "b"), PRESS, "Press 7")


def test_columns_come_in_any_order_and_semicolons_as_excel_writes_them():
    found = parse("Tags;Name\r\nx;Gate\r\n")

    assert [(line.name, line.tags) for line in found.good] == [("Gate", ("x",))]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",x,,,", "no name"),
        ("Old,,,,", "'Old' already"),
        ("Gate,,,nowhere,", "asset tag 'nowhere'"),
        ("Gate,,a!b,,", "'a!b' holds more"),
        ("Gate,,,,,,", "7 cells"),
        (f"{'x' * 121},,,,", "more than 120"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_reason(line, reason):
    found = parse(f"name,group,tags,machine,note\nFirst,,,,\n{line}\nLast,,,,\n", taken={"Old"})

    assert [good.name for good in found.good] == ["First", "Last"]
    assert [bad.number for bad in found.bad] == [3]
    assert reason in found.bad[0].reason


def test_a_name_twice_in_the_list_is_taken_once():
    found = parse("name\nGate\nGate\n")

    assert (len(found.good), [bad.number for bad in found.bad]) == (1, [3])


def test_lines_are_counted_as_an_editor_shows_them():
    found = parse('name,note\n\nGate,"two\nlines"\n,x\n')

    assert (found.good[0].number, found.bad[0].number) == (3, 5)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "first line must name"),
        ("Gate\nGate 2\n", "first line must name"),
        ("name,colour\nGate,red\n", "'colour' is unknown"),
        ("name,name\n", "twice"),
        ("name\n" + "x\n" * 1001, "1001 lines"),
        ("name\n" + "x" * 600_000, "512 kB"),
        ("name\n\0\n", "NUL"),
        ("name,note\n" + "a" * 140_000, "no CSV"),
    ],
)
def test_what_is_no_list_is_refused_with_what_to_do(text, reason):
    with pytest.raises(BadList, match=reason):
        parse(text)


def test_a_file_that_is_not_utf8_is_refused_in_words():
    with pytest.raises(BadList, match="CSV UTF-8"):
        device_list.text_of("Fräse".encode("latin-1"))
    assert device_list.text_of(b"\xef\xbb\xbfname") == "name"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_that_is_written_is_a_formula(start):
    text = device_list.written(["device"], [[f"{start}HYPERLINK(1)"]])

    assert f"'{start}HYPERLINK" in text


def test_a_look_makes_nothing_and_the_import_makes_the_good_ones(api, acme, in_acme):
    text = "name,machine\nGate 1,\nGate 2,nowhere\n"

    looked = api("post", "devices/import", {"csv": text, "dry_run": True})
    assert (looked.status_code, looked.json()["n_good"]) == (200, 1)
    assert not Device.objects.exists()
    made = api("post", "devices/import", {"csv": text})

    assert made.status_code == 201
    assert [bad["number"] for bad in made.json()["bad"]] == [3]
    (device,) = made.json()["devices"]
    credential = Credential.objects.get(digest=digest(device["token"]))
    assert (credential.device_id, credential.factory) == (device["device_id"], acme)
    assert Device.objects.get().origin == "import"
    entry = AuditEntry.objects.get(factory=acme, action="devices.imported")
    assert entry.detail == {"ids": [device["device_id"]], "n_left_out": 1}


def test_the_same_list_again_makes_nothing(api, in_acme):
    api("post", "devices/import", {"csv": "name\nGate 1\n"})

    again = api("post", "devices/import", {"csv": "name\nGate 1\n"})

    assert (again.status_code, again.json()["devices"]) == (200, [])
    assert "already" in again.json()["bad"][0]["reason"]


def test_a_machine_is_found_by_its_tag(api, in_acme):
    kind = production_services.machine_type(name="Press")
    press = production_services.add_machine(name="Press 7", machine_type=kind, asset_tag="press-7")

    api("post", "devices/import", {"csv": "name,machine\nGate,press-7\n"})

    assert Device.objects.get().machine_id == press.pk


def test_a_thousand_devices_are_made_with_a_few_statements(in_acme, django_assert_max_num_queries):
    text = "name,tags\n" + "".join(f"Gate {n},a|b\n" for n in range(1_000))

    with django_assert_max_num_queries(12):
        made, _ = services.import_devices(text=text, by=None)

    assert len({one.token for one in made}) == 1_000


def test_what_is_no_list_is_refused_with_the_reason(api):
    answer = api("post", "devices/import", {"csv": "colour\nred\n"})

    assert (answer.status_code, answer.json()["code"]) == (409, "bad_list")
    assert "first line must name" in answer.json()["message"]
