"""Connecting a device: name, key, command, first reading, names."""

from pathlib import Path

import pytest
from django.utils import timezone

from frontend.commands import commands
from production.models import Machine
from telemetry.models import Device, Signal
from tenants import credentials
from tenants.models import Credential

WISH = {"way": "gateway", "name": "Mill 1", "kind": "Mill"}


def test_a_name_makes_machine_device_and_key(portal, in_acme):
    page = portal("engineer").post("/start/", WISH).content.decode()

    device = Device.objects.get(name="Mill 1")
    assert device.machine == Machine.objects.get(name="Mill 1")
    token = page.split('id="token">')[1].split("<")[0]
    assert Credential.objects.get(device_id=device.pk).digest == credentials.digest(token)


def test_the_recipes_are_filled_in_for_the_device(portal, in_acme):
    page = portal("engineer").post("/start/", WISH).content.decode()

    token = page.split('id="token">')[1].split("<")[0]
    for name in ("curl", "python", "node", "esp32", "telegraf", "node-red"):
        recipe = page.split(f'id="recipe-{name}"')[1].split("</pre>")[0]
        assert token in recipe
        assert "https://localhost:8444" in recipe


def test_the_key_is_shown_once(portal, in_acme):
    engineer = portal("engineer")
    engineer.post("/start/", WISH)
    device = Device.objects.get(name="Mill 1")

    again = engineer.get(f"/start/{device.pk}/").content.decode()

    assert credentials.DEVICE_PREFIX not in again
    assert "PUT-THE-KEY-HERE" in again


def test_a_name_that_is_taken_makes_nothing(portal, in_acme):
    portal("engineer").post("/start/", WISH)

    answer = portal("engineer").post("/start/", WISH)

    assert answer.status_code == 422
    assert "Another device has this name" in answer.content.decode()
    assert Machine.objects.filter(name="Mill 1").count() == 1


def test_a_plan_without_room_makes_nothing_and_says_so(portal, in_acme):
    in_acme.limits.max_machines = 0
    in_acme.limits.save()

    answer = portal("engineer").post("/start/", WISH)

    assert "Your plan covers 0 machines" in answer.content.decode()
    assert not Device.objects.filter(name="Mill 1").exists()


def test_an_operator_connects_nothing(portal, in_acme):
    assert portal("operator").post("/start/", WISH).status_code == 403
    assert not Device.objects.exists()


def test_a_device_that_has_sent_nothing_is_waited_for(portal, device):
    page = portal().get(f"/start/{device.pk}/").content.decode()

    assert "Waiting for the first reading" in page


def test_the_first_reading_is_told_with_every_receipt(portal, heard):
    device = heard({"spindle_load_pct": 58.2, "t1": 41.7})

    part = portal().get(f"/start/{device.pk}/", headers={"HX-Request": "true"}).content.decode()

    assert "Mill 1 is talking" in part
    assert "3 readings received, 1 stored, 1 repeated, 1 refused." in part
    assert "Looks sure" in part
    assert "Check this one" in part


def test_names_are_corrected_by_people(portal, heard):
    device = heard({"t1": 41.7})
    signal = Signal.objects.get(device=device)
    typed = {
        f"label-{signal.pk}": "Spindle temperature",
        f"unit-{signal.pk}": "°C",
        f"role-{signal.pk}": "",
    }

    portal("engineer").post(f"/devices/{device.pk}/signals/", typed)

    signal.refresh_from_db()
    assert (signal.label, signal.unit) == ("Spindle temperature", "°C")


def test_a_made_up_role_is_not_taken(portal, heard):
    device = heard({"t1": 41.7})
    signal = Signal.objects.get(device=device)

    portal("engineer").post(f"/devices/{device.pk}/signals/", {f"role-{signal.pk}": "emperor"})

    signal.refresh_from_db()
    assert signal.role == ""


def test_the_page_after_naming_is_one_of_our_own(portal, heard):
    device = heard({"t1": 41.7})

    answer = portal("engineer").post(
        f"/devices/{device.pk}/signals/", {"next": "https://evil.example/"}
    )

    assert answer.headers["Location"] == f"/devices/{device.pk}/"


def test_a_second_key_is_shown_and_the_first_goes_on(portal, device):
    page = portal("engineer").post(f"/devices/{device.pk}/keys/").content.decode()

    assert 'id="token">takt_dev_' in page
    assert Credential.objects.filter(device_id=device.pk, revoked_at=None).count() == 2


def test_a_third_key_is_refused_in_words(portal, device):
    engineer = portal("engineer")
    engineer.post(f"/devices/{device.pk}/keys/")

    answer = engineer.post(f"/devices/{device.pk}/keys/", follow=True)

    assert Credential.objects.filter(device_id=device.pk).count() == 2
    assert answer.status_code == 200


def test_a_key_is_ended_by_who_manages_devices(portal, device):
    key = Credential.objects.get(device_id=device.pk)

    portal("engineer").post(f"/devices/{device.pk}/keys/{key.pk}/")

    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.revoked_at <= timezone.now()


def test_without_an_own_authority_the_commands_trust_the_world():
    texts = [c.text for c in commands(base_url="https://takt.example", token="t", ca_file=None)]

    assert not any("cacert" in text or "cafile" in text for text in texts)


@pytest.mark.parametrize("index", [1, 2])
def test_the_python_commands_are_python(index):
    found = commands(base_url="https://takt.example", token="t", ca_file=Path("/x/ca.pem"))
    program = found[index].text.split("<<'END'\n")[1].removesuffix("\nEND")

    assert compile(program, "command", "exec")


def test_who_has_no_machine_is_offered_the_made_up_one_first():
    found = commands(base_url="https://takt.example", token="t", ca_file=None, made_up_first=True)

    assert found[0].id == "mill"
