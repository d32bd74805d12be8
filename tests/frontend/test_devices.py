"""The pages of devices: found, changed, judged, claimed and imported."""

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from frontend import fleet
from telemetry import services as telemetry_services
from telemetry.models import (
    Device,
    Latest,
    ReadingRevision,
    RefusalCount,
    RefusedReading,
    Signal,
)
from telemetry.selectors import Health
from tenants import credentials
from tenants.models import AuditEntry, ClaimCode, Credential

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)


def text(answer):
    return answer.content.decode()


def health(offset_s):
    return Health("live", NOON, offset_s, NOON, 0, 0)


def test_devices_are_found_by_group_tag_and_state(portal, in_acme):
    telemetry_services.create_device(name="Gate A", group="Hall 1", tags=["north"])
    telemetry_services.create_device(name="Gate B", group="Hall 2")
    owner = portal()

    assert "Gate B" not in text(owner.get("/devices/?group=Hall+1"))
    assert "Gate B" not in text(owner.get("/devices/?tag=north"))
    assert "Gate A" in text(owner.get("/devices/?q=gate+a&state=never"))
    assert "No device fits" in text(owner.get("/devices/?state=live"))


@pytest.mark.parametrize("asked", ["q=%00", "state=asleep", "page=x", "group=%27%3B--"])
def test_a_senseless_address_is_no_error(portal, in_acme, asked):
    assert portal().get(f"/devices/?{asked}").status_code == 200


def test_htmx_gets_the_list_alone(portal, device):
    part = text(portal().get("/devices/", headers={"HX-Request": "true"}))

    assert "<html" not in part
    assert 'id="devices"' in part


def test_the_list_asks_as_often_for_fifty_devices_as_for_one(portal, device):
    owner = portal()
    owner.get("/devices/")
    with CaptureQueriesContext(connection) as few:
        owner.get("/devices/")
    for n in range(49):
        other, _ = telemetry_services.create_device(name=f"Gate {n}", tags=["x"], group="Hall")
        Latest.objects.create(device_id=other.pk, received_at=timezone.now())

    with CaptureQueriesContext(connection) as many:
        page = text(owner.get("/devices/"))

    assert "Gate 48" in page
    assert len(many) == len(few)


def test_a_list_of_many_devices_has_pages_that_keep_the_filter(portal, in_acme):
    for n in range(51):
        telemetry_services.create_device(name=f"Gate {n:02}", group="Hall")

    page = text(portal().get("/devices/?group=Hall"))

    assert "Gate 50" not in page
    assert "?group=Hall&amp;page=2" in page


@pytest.mark.parametrize(
    ("offset_s", "words"),
    [(93.0, "2 min ahead"), (-7400.0, "2 h 3 min behind"), (61.0, "1 min ahead")],
)
def test_a_clock_that_is_off_is_told_in_words(offset_s, words):
    assert fleet.clock_words(health(offset_s)) == words


@pytest.mark.parametrize(("offset_s", "is_off"), [(60.0, False), (-61.0, True), (None, False)])
def test_a_clock_may_be_a_minute_off(offset_s, is_off):
    assert health(offset_s).is_clock_off == is_off


def test_a_fast_clock_is_flagged_on_both_pages(portal, heard):
    device = heard({"load": 1.0})
    Latest.objects.update(clock_offset_s=93.0, clock_seen_at=timezone.now())
    owner = portal()

    assert "Clock 2 min ahead" in text(owner.get("/devices/"))
    page = text(owner.get(f"/devices/{device.pk}/"))
    assert f"The clock of {device.name} is 2 min ahead" in page
    assert "set its clock" in page


def test_the_stream_shows_readings_among_what_was_refused_and_why(portal, heard):
    device = heard({"spindle_load_pct": 58.2})
    RefusedReading.objects.create(
        device_id=device.pk,
        at=timezone.now(),
        code="not_finite",
        message="The value of 'vib' is not finite.",
        item='{"vib": "<b>NaN"}',
    )
    RefusalCount.objects.create(
        device_id=device.pk, code="not_finite", n=1, last_at=timezone.now(), last_message="So."
    )

    part = text(portal().get(f"/devices/{device.pk}/?part=live"))

    assert "<html" not in part
    assert part.index("Refused: not_finite") < part.index("spindle_load_pct")
    assert "&lt;b&gt;NaN" in part
    assert f'data-refresh="{device.pk}"' in part
    assert "every " not in re.findall(r'hx-trigger="([^"]*)"', part)[0]


def test_the_judgement_of_the_data_is_a_part_of_its_own(portal, heard):
    device = heard({"load": 1.0})
    owner = portal()

    assert "?part=quality" in text(owner.get(f"/devices/{device.pk}/"))
    part = text(owner.get(f"/devices/{device.pk}/?part=quality"))
    assert "1 reading in the last" in part
    assert "at least 20 are needed" in part


def test_a_replaced_value_is_shown(portal, heard):
    device = heard({"load": 2.0})
    latest = Latest.objects.get()
    ReadingRevision.objects.create(
        device_id=device.pk, ts=latest.ts, keyset_id=latest.keyset_id, vals=[41.5],
        replaced_at=timezone.now(),
    )  # fmt: skip

    page = text(portal().get(f"/devices/{device.pk}/"))

    assert "Replaced values" in page
    assert "41.5" in page


def test_a_device_that_sent_nothing_says_what_will_be_here(portal, device):
    page = text(portal().get(f"/devices/{device.pk}/"))

    assert "Has sent nothing yet" in page
    assert "The last 50 readings appear here" in page
    assert "Connected by a person" in page


def test_group_and_tags_are_changed_on_the_page(portal, device):
    form = {"name": "Mill 1", "machine": str(device.machine_id), "group": "Hall 2", "tags": "B a"}

    portal("engineer").post(f"/devices/{device.pk}/change/", form)

    device.refresh_from_db()
    assert (device.group, device.tags) == ("Hall 2", ["a", "b"])
    entry = AuditEntry.objects.filter(action="device.changed").latest("id")
    assert entry.detail["fields"] == ["group", "tags"]


def test_a_change_that_cannot_be_keeps_what_was_typed(portal, device):
    telemetry_services.create_device(name="Other")

    answer = portal().post(f"/devices/{device.pk}/change/", {"name": "Other", "note": "typed"})

    assert answer.status_code == 422
    assert "Another device has this name" in text(answer)
    assert "typed</textarea>" in text(answer)


def test_a_bad_tag_is_told_in_words(portal, device):
    answer = portal().post(f"/devices/{device.pk}/change/", {"name": "Mill 1", "tags": "a!b"})

    assert "holds more than" in text(answer)


def test_a_retired_device_keeps_its_page_without_its_buttons(portal, device):
    engineer = portal("engineer")
    engineer.post(f"/devices/{device.pk}/retire/")

    page = text(engineer.get(f"/devices/{device.pk}/"))
    assert "Retired" in page
    assert "Make a new key" not in page
    assert not Credential.objects.filter(device_id=device.pk, revoked_at=None).exists()
    assert device.name not in text(engineer.get("/devices/")).split("<main")[1]
    assert device.name in text(engineer.get("/devices/?state=retired"))


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_who_may_only_look_changes_nothing(portal, device, role):
    member = portal(role)

    assert member.post(f"/devices/{device.pk}/change/", {"name": "x"}).status_code == 403
    assert member.post(f"/devices/{device.pk}/retire/").status_code == 403
    assert "Keep the changes" not in text(member.get(f"/devices/{device.pk}/"))


def limits(signal, low, high):
    return {f"low-{signal.pk}": low, f"high-{signal.pk}": high}


def test_limits_of_a_signal_are_kept_and_taken_away(portal, heard):
    device = heard({"t": 41.7})
    signal = Signal.objects.get()
    engineer = portal("engineer")

    engineer.post(f"/devices/{device.pk}/signals/", limits(signal, "-10", "90.5"))
    signal.refresh_from_db()
    assert (signal.range_low, signal.range_high) == (-10.0, 90.5)
    engineer.post(f"/devices/{device.pk}/signals/", limits(signal, "", "90.5"))
    signal.refresh_from_db()
    assert signal.range_low is None


@pytest.mark.parametrize(("low", "high"), [("5", "5"), ("nan", ""), ("", "1e999"), ("x", "")])
def test_limits_that_are_none_are_refused_in_words(portal, heard, low, high):
    device = heard({"t": 41.7})
    signal = Signal.objects.get()

    answer = portal().post(f"/devices/{device.pk}/signals/", limits(signal, low, high), follow=True)

    assert "Nothing was kept" in text(answer)
    signal.refresh_from_db()
    assert (signal.range_low, signal.range_high) == (None, None)


def test_a_claim_code_is_shown_once(portal, in_acme):
    engineer = portal("engineer")

    page = text(engineer.post("/devices/codes/", {"max_uses": 3, "group": "Hall 2", "note": "F"}))

    code = re.findall(r'id="code"[^>]*>([^<]+)<', page)[0]
    assert re.fullmatch(r"\w{3}-\w{3}-\w{3}", code)
    assert f"&quot;{code}&quot;" in page
    again = text(engineer.get("/devices/codes/"))
    assert code not in again
    assert code[:3] in again
    assert "0 of 3" in again


def test_a_claim_code_for_nobody_is_refused_with_the_field(portal, in_acme):
    answer = portal().post("/devices/codes/", {"max_uses": 0})

    assert answer.status_code == 422
    assert "For how many gateways" in text(answer)
    assert not ClaimCode.objects.exists()


def test_a_claim_code_is_ended(portal, in_acme):
    owner = portal()
    owner.post("/devices/codes/", {"max_uses": 1})
    code_id = ClaimCode.objects.get().pk

    assert "is ended" in text(owner.post(f"/devices/codes/{code_id}/", follow=True))
    assert owner.post(f"/devices/codes/{code_id}/").status_code == 404


LIST = "name,group,tags\nGate 1,Hall,a b\n,Hall,\n=cmd(),,\n"


def test_a_list_is_looked_at_before_anything_is_made(portal, in_acme):
    upload = SimpleUploadedFile("list.csv", LIST.encode(), content_type="text/csv")

    page = text(portal("engineer").post("/devices/import/", {"file": upload}))

    assert "2 of 3 lines make a device. Nothing is made yet." in page
    assert "It has no name." in page
    assert "Make 2 devices" in page
    assert not Device.objects.exists()


def test_an_import_hands_out_the_keys_once_and_no_formula(portal, in_acme):
    page = text(portal("engineer").post("/devices/import/", {"csv": LIST, "step": "import"}))

    packed = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)[0]
    lines = base64.b64decode(packed).decode().splitlines()
    assert lines[0] == "device_id,name,token"
    device_id, name, token = lines[1].split(",")
    assert Credential.objects.get(digest=credentials.digest(token)).device_id == int(device_id)
    assert (name, lines[2].split(",")[1]) == ("Gate 1", "'=cmd()")
    assert "1 line left out" in page


def test_the_same_list_again_makes_nothing(portal, in_acme):
    owner = portal()
    owner.post("/devices/import/", {"csv": "name\nGate 1\n", "step": "import"})

    page = text(owner.post("/devices/import/", {"csv": "name\nGate 1\n", "step": "import"}))

    assert "No device was made" in page
    assert Device.objects.count() == 1


@pytest.mark.parametrize(
    ("posted", "words"),
    [
        ({}, "Choose a file, or paste"),
        ({"csv": "colour\nred"}, "must name the columns"),
        ({"file": SimpleUploadedFile("x.csv", b"\xff\xfe")}, "CSV UTF-8"),
        ({"file": SimpleUploadedFile("x.csv", b"name\n" + b"x" * 600_000)}, "512 kB"),
    ],
)
def test_what_is_no_list_is_told_in_words(portal, in_acme, posted, words):
    answer = portal().post("/devices/import/", posted)

    assert answer.status_code == 422
    assert words in text(answer)


def test_a_claimed_device_says_where_it_came_from(portal, in_acme):
    origin = telemetry_services.Origin(
        Device.Origin.CLAIM, hardware_id="b8:27:eb:01", claim_hint="K7Q"
    )
    device, _ = telemetry_services.create_device(name="Gate", origin=origin)

    page = text(portal().get(f"/devices/{device.pk}/"))

    assert "A claim code (K7Q…)" in page
    assert "b8:27:eb:01" in page


def test_times_of_the_stream_are_in_the_factory_s_zone(portal, heard):
    at = timezone.now() - timedelta(seconds=30)
    device = heard({"load": 1.0}, at=at)

    page = text(portal().get(f"/devices/{device.pk}/?part=live"))

    assert (at + timedelta(hours=1)).strftime("%H:%M") in page  # Berlin in November
