"""A factory is founded once; what was lost is replaced, what stands is found."""

from datetime import UTC, datetime

import pytest

from config.demo import chain, founding
from config.demo.diary import Diary, FactoryEntry
from config.demo.machines import ACME
from config.demo.simulator import simulate
from production import selectors as production_selectors
from telemetry import selectors as telemetry_selectors
from telemetry.models import AlarmRule
from tenants import credentials
from tenants.context import factory_context
from tenants.models import Credential, Factory, Role, User
from tests.analytics.conftest import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def founded(acme: Factory):
    def found(entry: FactoryEntry) -> founding.Founded:
        owner = User.objects.get(email="owner@acme.example")
        return founding.found_plant(ACME, entry, acme, owner, days=28)

    return found


def _entry() -> FactoryEntry:
    return FactoryEntry("Acme Precision", "acme", "")


def test_each_machine_has_one_device_with_a_token_that_is_known(founded, acme):
    entry = _entry()

    stands = founded(entry)

    assert set(stands.machines) == set(entry.tokens) == {m.name for m in ACME.machines}
    digests = {credentials.digest(token) for token in entry.tokens.values()}
    assert Credential.objects.filter(factory=acme, digest__in=digests).count() == len(ACME.machines)


def test_devices_are_grouped_by_gateway_and_tagged_by_kind(founded, acme):
    founded(_entry())

    with factory_context(acme):
        devices = {device.name: device for device in telemetry_selectors.devices()}
    mill, compressor = devices["Mill 1"], devices["Compressor 1"]
    assert (mill.group, mill.tags) == ("Milling", ["control", "mill"])
    assert (compressor.group, compressor.tags) == ("Utilities", ["compressor", "sensors-only"])


def test_its_rules_watch_from_the_start_and_are_made_once(founded, acme):
    entry = _entry()
    founded(entry)
    founded(entry)

    with factory_context(acme):
        found = AlarmRule.objects.order_by("key").values_list("key", flat=True)
        assert list(found) == ["long-stop", "silence", "vibration"]


def test_founding_again_finds_everything(founded):
    entry = _entry()
    first, tokens = founded(entry), dict(entry.tokens)

    second = founded(entry)

    assert (second.machines, second.devices, entry.tokens) == (
        first.machines,
        first.devices,
        tokens,
    )


def test_a_lost_diary_costs_new_tokens_and_ends_the_old_ones(founded, acme):
    founded(_entry())

    entry = _entry()
    stands = founded(entry)

    own = Credential.objects.filter(factory=acme, device_id__in=stands.devices.values())
    assert own.filter(revoked_at=None).count() == len(entry.tokens) == len(ACME.machines)


def test_the_demonstration_works_on_sundays_too(founded, acme):
    founded(_entry())

    with factory_context(acme):
        site = production_selectors.sites().get()
        assert production_selectors.shift_at(site=site, at=founding.A_SUNDAY) is not None


def test_people_keep_their_written_down_passwords(db):
    entry = _entry()
    people = founding.found_people(ACME, entry)
    again = founding.found_people(ACME, entry)

    assert set(people) == set(Role.values)
    assert again["owner"].pk == people["owner"].pk
    login = entry.users["owner"]
    assert User.objects.get(email=login["email"]).check_password(login["password"])


def test_one_of_takt_s_own_people_can_open_the_staff_pages(db, tmp_path):
    diary = Diary(tmp_path / "demo.json")
    founding.found_staff(diary)
    diary.write()
    again = Diary.read(diary.path)
    founding.found_staff(again)

    assert again.staff == diary.staff
    user = User.objects.get(email=diary.staff["email"])
    assert user.is_staff
    assert user.check_password(diary.staff["password"])


def test_an_interrupted_history_is_posted_again_from_its_beginning(founded, acme):
    stands = founded(_entry())
    machines = simulate(ACME, seed=7, anchor=stands.anchor, days=28, until=stands.anchor + 86_400)
    part = chain.Part(ACME, stands, machines)
    newest = datetime.fromtimestamp(stands.anchor - 20 * 86_400, UTC)
    with factory_context(acme):
        for device_id in stands.devices.values():
            store(device_id, [(newest, {"execution": "ACTIVE"})])
    now_ms = int(stands.anchor * 1000)

    again = chain.uploads(part, is_told=False, now_ms=now_ms)
    going_on = chain.uploads(part, is_told=True, now_ms=now_ms)

    assert all(upload.times_ms[0] == int(machines[0].start * 1000) for upload in again)
    week_ago = now_ms - 7 * 86_400_000
    assert all(week_ago < upload.times_ms[0] <= week_ago + 60_000 for upload in going_on)
