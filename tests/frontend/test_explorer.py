"""The explorer: what its address says, what it draws, what happened, what is exported."""

from datetime import UTC, datetime, timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from frontend import explorer, explorer_events
from production.models import Failure
from telemetry.models import Export, Keyset, ReadingRevision, Signal
from tests.frontend.test_templates import FOLDER
from tests.telemetry.stored import store

NOON = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def load(device) -> Signal:
    """Forty minutes of a load, with ten minutes missing in the middle."""
    first = timezone.now() - timedelta(minutes=50)
    signal = store(device, "load", [50.0] * 20, at=first, every=MINUTE)
    store(device, "load", [60.0] * 20, at=first + timedelta(minutes=30), every=MINUTE)
    Signal.objects.filter(pk=signal.pk).update(label="Spindle load", unit="%")
    signal.refresh_from_db()
    return signal


def test_without_a_signal_the_page_says_what_it_is_for(portal, in_acme):
    page = portal("viewer").get("/explore/").content.decode()

    assert "This page compares what machines measure" in page


def test_what_is_found_can_be_added_and_keeps_what_is_drawn(portal, load):
    page = portal("viewer").get(f"/explore/signals/?q=mill+spindle&s={load.pk}")

    assert "drawn already" in page.content.decode()
    assert f"?s={load.pk}" in portal("viewer").get("/explore/?q=spindle").content.decode()


def test_a_search_without_result_says_so(portal, load):
    assert "No signal has all of" in portal().get("/explore/signals/?q=quux").content.decode()


def test_the_lines_break_at_their_gaps(portal, load):
    data = portal("viewer").get(f"/explore/series.json?s={load.pk}&range=1h&n=60").json()

    line = data["lines"][str(load.pk)]
    assert line["avg"] == [50.0] * 20 + [60.0] * 20
    lengths = [round((to - start) / 60) for start, to in line["gaps"]]
    assert lengths == [10, 11]  # before the first reading, and in the middle
    assert "Spindle load, Mill 1: 50 to 60 %, on average 55 %" in data["summary"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("range=9h", "There is no range “9h”"),
        ("from=yesterday&to=2026-11-17T10:00:00Z", "“from” is “yesterday”, which is no time"),
        ("from=2026-11-17T10:00:00Z&to=2026-11-17T09:00:00Z", "cannot be drawn"),
        ("from=0001-01-01T00:00:00Z&to=2026-11-17T09:00:00Z", "which is no time"),
    ],
)
def test_a_range_that_cannot_be_read_is_named(portal, load, query, words):
    answer = portal().get(f"/explore/series.json?s={load.pk}&{query}")

    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert "Shown is the usual range instead." in (
        portal().get(f"/explore/?s={load.pk}&{query}").content.decode()
    )


def test_an_address_says_the_same_range_again(in_acme):
    query = QueryDict("from=2026-11-17T10:00:00%2B02:00&to=2026-11-17T09:00:00Z")

    shown = explorer.frame(query, now=NOON, signals=[])

    assert explorer.address("/explore/", [], shown) == (
        "/explore/?from=2026-11-17T08%3A00%3A00.000Z&to=2026-11-17T09%3A00%3A00.000Z"
    )


def test_all_goes_back_to_the_first_reading(device, in_acme):
    old = store(device, "old", [1.0], at=NOON - timedelta(days=900), every=MINUTE)

    shown = explorer.frame(QueryDict("range=all"), now=NOON, signals=[old])

    assert shown.start <= NOON - timedelta(days=900)


def test_a_signal_that_is_gone_is_said_and_the_others_stay(portal, load):
    page = portal().get(f"/explore/?s={load.pk}&s=999999").content.decode()

    assert "1 of the signals in this address is not there" in page
    assert "Spindle load, Mill 1" in page


def test_two_units_never_share_a_panel_and_five_lines_become_five(device, in_acme):
    signals = [
        store(device, f"k{i}", [1.0], at=NOON + i * MINUTE, every=MINUTE)
        for i in range(explorer.MAX_LINES + 2)
    ]
    Signal.objects.filter(pk=signals[0].pk).update(unit="°C")

    found = explorer.panels(explorer.chosen([signal.pk for signal in signals]))

    assert [panel.unit for panel in found] == ["°C", "", "", "", "", ""]
    assert [len(panel.signals) for panel in found] == [1] * 6


def test_the_table_tells_the_same(portal, load):
    page = portal("viewer").get(f"/explore/?s={load.pk}&range=1h&view=table").content.decode()

    assert "Spindle load, Mill 1, %" in page
    assert page.count('<td class="num">50</td>') >= 19


def test_events_of_every_kind_lie_on_the_axis(portal, load, mill, device):
    now = timezone.now()
    Failure.objects.create(machine=mill, failed_at=now - 20 * MINUTE, mode="leak")
    for seconds in range(5):
        ReadingRevision.objects.create(
            device_id=device.pk, ts=now - 10 * MINUTE + timedelta(seconds=seconds),
            keyset_id=keyset_of(load), vals=[1.0], replaced_at=now,
        )  # fmt: skip

    data = portal("viewer").get(f"/explore/events.json?s={load.pk}&range=1h").json()

    labels = [(event["kind"], event["label"]) for event in data["events"]]
    assert ("failure", "Mill 1: failure, leak") in labels
    assert ("revision", "Mill 1: 5 values revised") in labels


def keyset_of(signal: Signal) -> int:
    return Keyset.objects.get(key_ids=[signal.key_id]).pk


def test_stops_are_left_out_of_long_ranges_and_that_is_said(in_acme, load):
    found = explorer_events.explorer_events(
        [load], start=NOON - timedelta(days=400), end=NOON, now=NOON
    )

    assert "up to 2 days" in found.left_out


def test_an_export_is_asked_for_followed_and_cancelled(portal, load):
    engineer = portal("engineer")

    asked = engineer.post("/explore/exports/", {"s": [load.pk], "range": "8h", "form": "csv"})
    export = Export.objects.get()
    page = engineer.get("/explore/exports/").content.decode()
    engineer.post(f"/explore/exports/{export.pk}/cancel/")

    assert asked.status_code == 302
    assert "Waiting" in page
    assert 'data-refresh-on="exports"' in page
    export.refresh_from_db()
    assert export.state == "cancelled"


def test_what_cannot_be_exported_is_said_on_the_page(portal, load):
    answer = portal().post("/explore/exports/", {"s": [], "range": "8h"}, follow=True)

    assert "Choose at least one signal" in answer.content.decode()


def test_a_viewer_sees_the_explorer_and_takes_nothing_along(portal, load):
    assert "Export" not in portal("viewer").get(f"/explore/?s={load.pk}").content.decode()
    assert portal("viewer").get("/explore/exports/").status_code == 403


def test_no_page_asks_on_a_clock():
    asking = [
        path.name for path in FOLDER.rglob("*.html") if 'hx-trigger="every' in path.read_text()
        or ", every" in path.read_text()
    ]  # fmt: skip

    assert asking == []
