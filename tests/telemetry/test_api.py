"""Devices, signals and readings through the user API."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from telemetry import services
from telemetry.models import Device, Keyset, Latest, ReadingHot, Signal, SignalKey
from tenants.context import factory_context
from tenants.credentials import digest
from tenants.models import AuditEntry, Credential

NOON = datetime(2026, 11, 17, 12, tzinfo=UTC)


@pytest.fixture
def mill(in_acme):
    return services.create_device(name="Mill 1")[0]


@pytest.fixture
def readings(mill):
    """`a` each second for a minute with ten seconds missing, `b` only in the first half."""
    keys = [SignalKey.objects.create(key=key, kind="n") for key in "ab"]
    both = Keyset.objects.create(key_ids=[key.pk for key in keys])
    only_a = Keyset.objects.create(key_ids=[keys[0].pk])
    for second in range(60):
        if 20 <= second < 30:
            continue
        has_b = second < 30
        ReadingHot.objects.create(
            device_id=mill.pk,
            ts=NOON + timedelta(seconds=second),
            keyset_id=(both if has_b else only_a).pk,
            vals=[second, second * 10] if has_b else [second],
        )
    return mill


def series(api, device, **changes):
    asked = {"start": NOON.isoformat(), "end": (NOON + timedelta(minutes=1)).isoformat()} | changes
    return api("get", f"devices/{device.pk}/series", asked)


def test_a_device_is_made_with_a_token_shown_once(api, acme):
    made = api("post", "devices", {"name": "Mill 1", "note": "Hall 2"})

    assert made.status_code == 201
    token = made.json()["token"]
    assert Credential.objects.get(digest=digest(token)).device_id == made.json()["id"]
    shown = api("get", f"devices/{made.json()['id']}").json()
    assert (shown["name"], shown["note"]) == ("Mill 1", "Hall 2")
    assert token not in str(shown)
    assert AuditEntry.objects.filter(factory=acme, action="device.created").count() == 1


def test_a_taken_name_is_a_conflict(api, mill):
    other = api("post", "devices", {"name": "Mill 2"}).json()

    assert api("post", "devices", {"name": "Mill 1"}).status_code == 409
    assert api("patch", f"devices/{other['id']}", {"name": "Mill 1"}).json()["code"] == "name_taken"


def test_two_tokens_are_valid_at_a_time_and_each_can_be_revoked(api, mill):
    second = api("post", f"devices/{mill.pk}/tokens")
    third = api("post", f"devices/{mill.pk}/tokens")

    assert (second.status_code, third.status_code) == (201, 409)
    first_id = api("get", f"devices/{mill.pk}/tokens").json()[-1]["id"]
    assert api("delete", f"devices/{mill.pk}/tokens/{first_id}").status_code == 204
    assert api("delete", f"devices/{mill.pk}/tokens/{first_id}").status_code == 404
    assert api("post", f"devices/{mill.pk}/tokens").status_code == 201


def test_a_token_of_another_device_cannot_be_revoked_through_this_one(api, mill):
    _, token = services.create_device(name="Mill 2")
    credential = Credential.objects.get(digest=digest(token))

    answer = api("delete", f"devices/{mill.pk}/tokens/{credential.pk}")

    assert answer.status_code == 404
    credential.refresh_from_db()
    assert credential.revoked_at is None


def test_a_retired_device_loses_its_tokens_and_keeps_its_readings(api, readings):
    assert api("delete", f"devices/{readings.pk}").status_code == 204

    assert not Credential.objects.filter(device_id=readings.pk, revoked_at=None).exists()
    assert api("get", "devices").json()["results"] == []
    assert api("get", f"devices/{readings.pk}").json()["retired_at"] is not None
    assert api("post", f"devices/{readings.pk}/tokens").status_code == 409
    assert series(api, readings, key="a", n=1).json()["keys"]["a"]["n"] == [50]


def test_buckets_hold_min_average_max_and_count_and_gaps_are_absent(api, readings):
    found = series(api, readings, key=["a", "b"], n=6).json()

    ms = int(NOON.timestamp() * 1000)
    assert found["bucket_ms"] == 10_000
    assert found["keys"]["a"] == {
        "t": [ms, ms + 10_000, ms + 30_000, ms + 40_000, ms + 50_000],
        "min": [0, 10, 30, 40, 50],
        "avg": [4.5, 14.5, 34.5, 44.5, 54.5],
        "max": [9, 19, 39, 49, 59],
        "n": [10] * 5,
    }
    assert found["keys"]["b"]["t"] == [ms, ms + 10_000]
    assert found["keys"]["b"]["max"] == [90, 190]


def test_a_range_is_half_open_and_an_unknown_key_is_empty(api, readings):
    end = (NOON + timedelta(seconds=5)).isoformat()

    found = series(api, readings, key=["a", "nothing"], n=500, end=end).json()["keys"]

    assert found["a"]["max"] == [0, 1, 2, 3, 4]
    assert found["nothing"]["t"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"key": []},
        {"key": "a", "n": 0},
        {"key": "a", "n": 5001},
        {"key": "a", "start": "yesterday"},
        {"key": "a", "end": "2026-11-17T11:00:00Z"},
        {"key": ["a", "a"]},
        {"key": "a\x00"},
    ],
)
def test_a_senseless_question_is_400(api, mill, changes):
    answer = series(api, mill, **changes)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_latest_shows_values_in_their_kinds(api, mill):
    from telemetry.models import Word

    word = Word.objects.create(text="ACTIVE")
    keys = [SignalKey.objects.create(key=k, kind=k) for k in "nbs"]
    keyset = Keyset.objects.create(key_ids=[key.pk for key in keys])
    Latest.objects.create(
        device_id=mill.pk, ts=NOON, keyset_id=keyset.pk, vals=[1.5, 1, word.pk],
        received_at=NOON, n_received=3, n_stored=2, n_duplicates=1, n_rejected=0,
    )  # fmt: skip

    found = api("get", f"devices/{mill.pk}/latest").json()

    assert found["values"] == {"n": 1.5, "b": True, "s": "ACTIVE"}
    assert (found["n_received"], found["n_stored"], found["n_duplicates"]) == (3, 2, 1)
    assert api("get", "latest").json() == [found]


def test_a_signal_can_be_named(api, mill):
    key = SignalKey.objects.create(key="t1", kind="n")
    signal = Signal.objects.create(
        device=mill, key=key, label="Temperature", first_seen_at=timezone.now()
    )

    changed = api("patch", f"devices/{mill.pk}/signals/{signal.pk}", {"label": "Oil", "unit": "°C"})

    assert changed.status_code == 200
    listed = api("get", f"devices/{mill.pk}/signals").json()["results"]
    assert [(s["key"], s["label"], s["unit"]) for s in listed] == [("t1", "Oil", "°C")]


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_who_may_only_look_makes_no_devices(portal, acme, role):
    member = portal(role)

    assert member.get("/api/v1/devices").status_code == 200
    refused = member.post("/api/v1/devices", {"name": "x"}, content_type="application/json")
    assert refused.status_code == 403


def test_the_other_factory_sees_none_of_it(api, readings, globex, other_api_key):
    for path in ("", "/series", "/latest", "/signals", "/tokens", "/revisions"):
        answer = api("get", f"devices/{readings.pk}{path}", key=other_api_key)
        assert answer.status_code == 404, path
    assert api("get", "devices", key=other_api_key).json()["results"] == []
    assert api("delete", f"devices/{readings.pk}", key=other_api_key).status_code == 404
    with factory_context("acme"):
        assert Device.objects.get(pk=readings.pk).retired_at is None


def test_the_way_in_stands_in_the_document_with_examples(client, acme):
    document = client.get("/api/v1/openapi.json?format=json", secure=True, HTTP_HOST="localhost")
    operation = document.json()["paths"]["/api/v1/telemetry"]["post"]

    assert operation["security"] == [{"deviceToken": []}]
    assert "one" in operation["requestBody"]["content"]["application/json"]["examples"]
    assert {"200", "401", "413", "422", "429", "503"} <= operation["responses"].keys()
