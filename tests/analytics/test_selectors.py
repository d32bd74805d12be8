"""The floor now, from stored readings to plain words."""

from datetime import timedelta

import pytest
from django.db import connection

from analytics import selectors
from analytics.states import State
from tests.analytics.conftest import NOW, minutes_before, store


def _spoken(n: int, *, until_min: int = 0, word: str = "ACTIVE", fault: bool = False, start=100):
    """One reading a minute; a part every 90 s."""
    return [
        (
            minutes_before(m),
            {"execution": word, "part_count": start + (400 - m) * 2 // 3, "fault": fault},
        )
        for m in range(n + until_min, until_min, -1)
    ]


def _tile(name: str):
    return next(t for t in selectors.machine_tiles(at=NOW) if t.name == name)


def test_a_running_machine_shows_its_rate_and_what_it_makes(machine):
    rows = [(ts, {**values, "program": "Flange DN50"}) for ts, values in _spoken(200)]
    machine("Mill 1", rows)

    tile = _tile("Mill 1")

    assert tile.state == State.RUN
    assert tile.note == "Flange DN50"
    assert (tile.figure.value, tile.figure.beside) == ("40", "of 40 parts/h")


def test_a_machine_that_is_down_says_since_when_and_what_it_costs(machine):
    stopped = [
        (minutes_before(m), {"execution": "STOPPED", "part_count": 366, "fault": True})
        for m in range(14, 0, -1)
    ]
    machine("Mill 3", _spoken(180, until_min=14) + stopped)

    tile = _tile("Mill 3")

    assert tile.state == State.DOWN
    assert tile.note == "Stopped at 10:28. No reason yet."
    assert (tile.figure.value, tile.figure.unit) == ("14", "min")
    assert tile.figure.beside == "€28 lost so far"
    rows = selectors.attention(at=NOW)
    assert [(r.severity, r.subject, r.sentence) for r in rows] == [
        (1, "Mill 3", "has been down for 14 min. Nobody has said why.")
    ]


def test_silence_is_no_data_and_shows_neither_zero_nor_the_last_value_as_now(machine):
    machine("Saw 1", _spoken(270, until_min=31))

    tile = _tile("Saw 1")

    assert tile.state == State.NODATA
    assert tile.note == "Last reading at 10:10"
    assert tile.figure.value == "\N{EN DASH}"
    assert tile.figure.beside == "40 parts/h at 10:11"
    assert [s.state for s in tile.segments] == [State.RUN, State.NODATA]
    row = selectors.attention(at=NOW)[0]
    assert row.sentence == "sends no data since 10:11. Check its gateway and the network."
    assert row.cost == "Readings missing: 31 min"


def test_a_device_that_answers_without_its_state_signals_is_told_apart(machine):
    _, device = machine("Saw 1", _spoken(200, until_min=31))
    store(device.pk, [(minutes_before(m), {"room_temp_c": 20.0}) for m in range(30, 0, -1)])

    row = selectors.attention(at=NOW)[0]

    assert _tile("Saw 1").state == State.NODATA
    assert "Its device answers, these signals do not" in row.sentence


def test_a_machine_that_never_sent_anything_is_no_data_and_asks_for_a_device(machine):
    machine("Mill 9")

    tile = _tile("Mill 9")

    assert (tile.state, tile.since) == (State.NODATA, None)
    assert tile.note == "No reading yet. Connect a device."
    assert selectors.attention(at=NOW) == []


def test_readings_without_a_role_ask_to_be_linked(machine):
    machine("Mill 9", [(minutes_before(m), {"humidity_pct": 41.0}) for m in range(30, 0, -1)])

    tile = _tile("Mill 9")

    assert tile.state == State.NODATA
    assert tile.note == "Link a signal that says what it does."


def test_reduced_speed_needs_someone_after_a_quarter_of_an_hour(machine):
    rows = [
        (
            minutes_before(m),
            {"execution": "ACTIVE", "part_count": round((240 - max(m, 60)) * 2 / 3)
             + int((60 - min(m, 60)) * 2 / 3 * 0.71)},
        )
        for m in range(240, 0, -1)
    ]  # fmt: skip
    machine("Lathe 2", rows)

    tile, rows_now = _tile("Lathe 2"), selectors.attention(at=NOW)

    assert tile.state == State.SLOW
    assert tile.ratio == pytest.approx(0.71, abs=0.04)
    assert [r.severity for r in rows_now] == [2]
    assert rows_now[0].sentence.endswith("of its rated speed.")


def test_a_break_is_planned_and_says_when_it_ends(machine):
    at = NOW - timedelta(minutes=27)  # 10:15, the early shift breaks from 10:00 to 10:30
    rows = [(at - timedelta(minutes=m), {"execution": "READY"}) for m in range(60, 0, -1)]
    machine("Mill 1", rows)

    tile = selectors.machine_tiles(at=at)[0]

    assert tile.state == State.PLANNED
    assert tile.note == "Back at 10:30."
    assert tile.lost_minor is None


def test_a_compressor_is_told_by_its_power_alone(machine):
    rows = [(minutes_before(m), {"power_kw": 22.0 if m < 60 else 6.0}) for m in range(200, 0, -1)]
    machine("Compressor 1", rows, kind="Compressor", rate=None)

    tile = _tile("Compressor 1")

    assert tile.state == State.RUN
    assert (tile.figure.value, tile.figure.unit) == ("22", "kW")


def test_the_window_is_the_shift_and_its_segments_leave_no_hole(machine):
    machine("Mill 1", _spoken(300))

    tile = _tile("Mill 1")

    assert tile.window_start.hour == 5  # 06:00 in Berlin
    assert tile.segments[0].start == tile.window_start
    assert tile.segments[-1].end == NOW
    ends = [s.end for s in tile.segments[:-1]]
    assert ends == [s.start for s in tile.segments[1:]]


def test_the_plants_figures_say_what_is_known(machine):
    machine("Mill 1", _spoken(290))
    machine("Mill 2", _spoken(100, until_min=190))

    figures = {f.label: f for f in selectors.plant_figures(at=NOW)}

    assert figures["Working now"].value == "1 of 2"
    assert figures["Working now"].below == "1 send no data"
    assert figures["OEE"].below.startswith("Provisional")
    assert figures["Energy"].value is None


def test_a_timeline_ends_now_even_when_asked_for_more(machine):
    made, _ = machine("Mill 1", _spoken(100))

    timeline = selectors.machine_timeline(
        machine_id=made.pk, start=minutes_before(60), end=NOW + timedelta(hours=4), at=NOW
    )

    assert timeline.segments[0].start == minutes_before(60)
    assert timeline.segments[-1].end == NOW


def test_an_empty_factory_has_an_empty_floor(in_acme):
    overview = selectors.overview(at=NOW)

    assert (overview.tiles, overview.attention, overview.figures) == ((), (), ())


def test_the_number_of_queries_grows_by_devices_only(machine):
    def n_queries() -> int:
        asked: list[str] = []

        def count(execute, sql, params, many, context):
            asked.append(sql)
            return execute(sql, params, many, context)

        with connection.execute_wrapper(count):
            selectors.overview(at=NOW)
        return len(asked)

    machine("Mill 1", _spoken(300))
    one = n_queries()
    for n in range(2, 5):
        machine(f"Mill {n}", _spoken(300))

    assert one <= 16
    assert n_queries() - one <= 3 * 6
