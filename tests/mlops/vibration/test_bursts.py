"""Bursts posted as arrays: what is stored, what is refused and why, what is kept for how long."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np
import pytest
from django.test import Client

from mlops import bursts, selectors, services, tasks
from mlops.models import BearingPlace, VibrationBurst
from mlops.services import PlaceFields, PlaceRefused
from mlops.vibration import arriving
from production import services as production_services
from tenants.context import factory_context
from tenants.models import Job
from tests.conftest import PUBLIC_HOST
from tests.mlops.vibration.bursts import struck

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
POINT = "drive end, radial"
BPFO_6205_AT_1797 = 107.36


def sent(n=512, **changed):
    body = {
        "point": POINT, "taken_at": "2026-11-26T10:00:00Z", "sample_rate_hz": 12_000,
        "samples": np.sin(np.arange(n) / 7).round(4).tolist(), "speed_rpm": 1_797,
    }  # fmt: skip
    return body | changed


def faulty(**changed):
    return sent(
        samples=struck(BPFO_6205_AT_1797, seconds=2.0).samples_g.round(5).tolist(), **changed
    )


def store(machine, *raw, now=NOON):
    return services.store_bursts(machine=machine, raw=raw, now=now)


def bearing_6205(machine, *, for_type=False, **changed):
    said: dict[str, Any] = {"point": POINT, "bearing": "6205", "n_elements": 9, "element_mm": 7.94,
            "pitch_mm": 39.04, "machine_group": "group 2"}  # fmt: skip
    return services.save_place(
        machine=machine, fields=PlaceFields(**(said | changed)), for_type=for_type, at=NOON, by=None
    )


@pytest.fixture
def pump(in_acme):
    kind = production_services.machine_type(name="Pump", component="Bearing")
    return production_services.add_machine(name="Pump 1", machine_type=kind)


@pytest.mark.parametrize(("unit", "scale"), [("g", 9.80665), ("m/s2", 1.0)])
def test_samples_are_kept_as_si(pump, unit, scale):
    store(pump, sent(unit=unit))

    row = VibrationBurst.objects.get()
    kept = arriving.unpacked(bytes(row.payload or b""))
    assert kept == pytest.approx(np.array(sent()["samples"]) * scale, abs=1e-4)
    assert (row.n_samples, row.unit) == (512, unit)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"samples": [0.0] * 255}, "bad_length"),
        ({"samples": "loud"}, "bad_length"),
        ({"samples": [*[0.0] * 300, float("nan")]}, "bad_sample"),
        ({"samples": [*[0.0] * 300, 10**400]}, "bad_sample"),
        ({"samples": [*[0.0] * 300, None]}, "bad_sample"),
        ({"samples": [*[0.0] * 300, True]}, "bad_sample"),
        ({"sample_rate_hz": 99}, "bad_sample_rate_hz"),
        ({"sample_rate_hz": 200_001}, "bad_sample_rate_hz"),
        ({"sample_rate_hz": float("nan")}, "bad_sample_rate_hz"),
        ({"taken_at": "yesterday"}, "bad_taken_at"),
        ({"taken_at": "2026-11-26T10:00:00"}, "bad_taken_at"),
        ({"taken_at": "0001-01-01T00:00:00+14:00"}, "bad_taken_at"),
        ({"taken_at": "2026-11-27T12:00:01Z"}, "in_the_future"),
        ({"point": "  "}, "bad_point"),
        ({"point": "a\0b"}, "bad_point"),
        ({"unit": "mil"}, "unknown_unit"),
        ({"speed_rpm": 0}, "bad_speed_rpm"),
        ({"load_percent": "half"}, "bad_load_percent"),
    ],
)
def test_a_bad_burst_is_named_and_the_rest_is_stored(pump, changed, code):
    receipt = store(pump, sent(), sent(**changed), sent(point="fan end"))

    assert [(one.index, one.code) for one in receipt.refused] == [(1, code)]
    assert len(receipt.stored) == VibrationBurst.objects.count() == 2


def test_what_is_no_burst_is_refused(pump):
    assert [one.code for one in store(pump, 7, None, []).refused] == ["not_an_object"] * 3


def test_a_repeated_burst_is_a_duplicate(pump):
    store(pump, sent())

    again = store(pump, sent(), sent(), sent(taken_at="2026-11-26T12:00:00+02:00"))

    assert (again.stored, again.n_duplicates) == ((), 3)


def test_lines_of_the_outer_race_are_named_with_what_to_check(pump):
    bearing_6205(pump)

    store(pump, faulty())

    told = VibrationBurst.objects.get().diagnosis
    assert told["damaged"] == "outer race"
    assert told["sentence"].startswith(f"Outer race of the bearing 6205 at {POINT}: 3 harmonics")
    assert "Listen at the housing" in told["checks"][0]
    (line,) = [one for one in told["lines"] if one["name"] == "BPFO"]
    assert line["found_hz"][0] == pytest.approx(BPFO_6205_AT_1797, abs=1.5)


def test_without_a_place_nothing_is_claimed(pump):
    store(pump, faulty())

    row = VibrationBurst.objects.get()
    assert row.diagnosis["damaged"] is None
    assert "is not known" in row.diagnosis["sentence"]
    assert row.figures["zone"] is None


def test_the_nominal_speed_is_assumed_and_that_is_said(pump):
    bearing_6205(pump, nominal_rpm=1_797.0)

    store(pump, faulty(speed_rpm=None))

    told = VibrationBurst.objects.get().diagnosis
    assert (told["damaged"], told["is_nominal_speed"]) == ("outer race", True)
    assert "nominal 1,797 rpm is assumed" in told["sentence"]


def test_a_burst_too_short_for_velocity_keeps_its_other_figures(pump):
    bearing_6205(pump)

    store(pump, sent(n=256))

    figures = VibrationBurst.objects.get().figures
    assert (figures["velocity_mm_s"], figures["zone"]) == (None, None)
    assert figures["crest"] == pytest.approx(1.41, abs=0.1)


def test_a_zone_has_its_edition(pump):
    bearing_6205(pump)
    time = np.arange(12_000) / 12_000
    # 1 g at 159.15 Hz is 9.80665 m/s2 / 1000 rad/s: 9.8 mm/s peak, 6.9 RMS.
    store(pump, sent(samples=np.sin(2 * np.pi * 159.155 * time).tolist()))

    figures = VibrationBurst.objects.get().figures
    assert figures["velocity_mm_s"] == pytest.approx(6.93, abs=0.05)
    assert (figures["zone"]["name"], figures["zone"]["edition"]) == ("D", "ISO 10816-3:2009")


def test_a_place_of_the_machine_goes_before_that_of_its_type(pump):
    bearing_6205(pump, for_type=True, bearing="of the type")
    bearing_6205(pump, bearing="its own")
    bearing_6205(pump, bearing="its own, changed")

    assert selectors.bearing_places(pump)[POINT].bearing == "its own, changed"
    assert BearingPlace.objects.count() == 2


def test_when_a_place_becomes_known_the_newest_bursts_are_judged_anew(pump):
    store(pump, faulty(taken_at="2026-11-25T10:00:00Z"), faulty())
    place = bearing_6205(pump, for_type=True)

    n_judged = services.judge_newest(place_id=place.pk)

    damaged = [row.diagnosis["damaged"] for row in selectors.bursts_of(pump.pk)]
    assert (n_judged, damaged) == (1, ["outer race", None])


def test_saving_a_place_queues_that_judgement_once(pump):
    for bearing in ("6205", "6206"):
        bearing_6205(pump, bearing=bearing)

    assert Job.objects.filter(task="mlops.judge_bursts").count() == 1


def test_the_clock_thins_the_bursts_of_every_factory(pump, in_acme, monkeypatch):
    store(pump, sent(), sent(taken_at="2026-11-25T10:00:00Z"))
    monkeypatch.setattr(services, "thin_bursts", partial(services.thin_bursts, n_whole=1))

    tasks.thin_bursts()

    with factory_context(in_acme):
        assert VibrationBurst.objects.filter(payload=None).count() == 1


@pytest.mark.parametrize(
    "changed", [{"pitch_mm": None}, {"element_mm": 50.0}, {"n_elements": 2}, {"point": " "}]
)
def test_a_bearing_that_cannot_be_is_refused(pump, changed):
    with pytest.raises(PlaceRefused):
        bearing_6205(pump, **changed)


def test_only_the_newest_keep_their_samples(pump):
    for point in ("a", "b"):
        store(pump, *(sent(point=point, taken_at=f"2026-11-2{d}T10:00:00Z") for d in (1, 2, 3)))

    assert services.thin_bursts(n_whole=2) == 2
    assert services.thin_bursts(n_whole=2) == 0

    without = VibrationBurst.objects.filter(payload=None)
    assert {row.taken_at.day for row in without} == {21}
    assert bursts.picture(without[0], None) is None
    assert without[0].figures["crest"] > 1


# -- the API -------------------------------------------------------------------------------------
@pytest.fixture
def machine(acme):
    with factory_context(acme):
        kind = production_services.machine_type(name="Pump", component="Bearing")
        machine = production_services.add_machine(name="Pump 1", machine_type=kind)
        bearing_6205(machine)
        return machine


@pytest.fixture
def call(api_key, machine):
    def send(method, path="", body=None):
        return Client().generic(
            method, f"/api/v1/machines/{machine.pk}/vibration{path}", data=json.dumps(body or {}),
            content_type="application/json", secure=True, HTTP_HOST=PUBLIC_HOST,
            HTTP_AUTHORIZATION=f"Bearer {api_key}",
        )  # fmt: skip

    return send


def recent(**changed):
    return faulty(taken_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat(), **changed)


def test_a_burst_is_posted_listed_and_read_with_its_lines(call):
    receipt = call("POST", body={"bursts": [recent(), {"point": "x"}]}).json()
    (listed,) = call("GET", "?point=drive+end,+radial").json()["results"]
    read = call("GET", f"/{listed['id']}").json()

    assert receipt["stored"] == [listed["id"]]
    assert [(one["index"], one["code"]) for one in receipt["refused"]] == [(1, "bad_taken_at")]
    assert listed["diagnosis"]["damaged"] == "outer race"
    for name in ("spectrum", "envelope"):
        assert 10 < len(read[name]["frequency_hz"]) == len(read[name]["amplitude_g"]) <= 2_000
    high = [m["name"] for m in read["envelope"]["marks"] if m["stands_out"]]
    assert high[:3] == ["BPFO", "2 x BPFO", "3 x BPFO"]


def test_the_longest_burst_is_taken_and_drawn_small(call):
    burst = sent(n=262_144, taken_at=datetime.now(UTC).isoformat())

    (burst_id,) = call("POST", body={"bursts": [burst]}).json()["stored"]

    assert 1_000 < len(call("GET", f"/{burst_id}").json()["spectrum"]["frequency_hz"]) <= 2_000


@pytest.mark.parametrize("body", [{}, {"bursts": []}, {"bursts": 5}, {"bursts": [{}] * 51}])
def test_a_body_without_bursts_is_refused_whole(call, body):
    assert call("POST", body=body).status_code == 400


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("operator", 403), ("engineer", 200)]
)
def test_who_may_post(portal, machine, role, status):
    answer = portal(role).post(
        f"/api/v1/machines/{machine.pk}/vibration",
        json.dumps({"bursts": [recent()]}), content_type="application/json",
    )  # fmt: skip

    assert answer.status_code == status
