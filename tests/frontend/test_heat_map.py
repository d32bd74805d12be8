"""When readings came, by day and hour: a table that can be printed and read out."""

from datetime import UTC, datetime, timedelta

from frontend.heat_map import DAYS, SHADES, Cell, heat_map
from telemetry.selectors import HourOfUse

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
ELEVEN = datetime(2026, 11, 20, 11, tzinfo=UTC)


def hour(at, n, device_id=1):
    return HourOfUse(at, device_id, None, n, n)


def test_without_readings_there_is_no_table():
    assert heat_map([], now=NOW).rows == ()


def test_devices_are_summed_and_the_fullest_hour_is_the_darkest():
    shown = heat_map(
        [hour(ELEVEN, 40), hour(ELEVEN, 60, 2), hour(ELEVEN - timedelta(hours=1), 1)], now=NOW
    )

    assert len(shown.rows) == DAYS
    assert shown.rows[-1].day == "Fri 20 Nov"
    assert shown.rows[-1].cells[11] == Cell(SHADES, "100", "Fri 20, 11:00: 100")
    assert shown.rows[-1].cells[10].shade == 1
    assert shown.rows[-1].cells[9] == Cell(0, "none", "Fri 20, 09:00: none")
    assert shown.words.startswith("101 readings in 2 hours of the last 14 days.")


def test_an_hour_before_the_first_day_is_not_shown():
    assert heat_map([hour(NOW - timedelta(days=DAYS), 5)], now=NOW).rows == ()


def test_the_page_says_every_hour_in_words(portal, heard):
    heard({"speed": 1.0})

    page = portal().get("/usage/").content.decode()

    assert "1 reading in 1 hour of the last 14 days." in page
    assert page.count('<td class="shade-0"') == DAYS * 24 - 1
    assert page.count(f'<td class="shade-{SHADES}"') == 1
    assert '<span class="visually-hidden">1</span>' in page
