"""Numbers, money, times: as people on the floor write them."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from frontend import formats
from tests.frontend.conftest import NOON


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "\N{EN DASH}"),
        (0, "0"),
        (4.6049, "4.6"),
        (58.239, "58.24"),
        (0.26131, "0.261"),
        (147.25, "147.2"),
        (1204, "1,204"),
        (-3.5, "\N{MINUS SIGN}3.5"),
        (True, "Yes"),
        ("ACTIVE", "ACTIVE"),
    ],
)
def test_a_figure_has_about_four_digits(value, written):
    assert formats.figure(value) == written


@pytest.mark.parametrize(
    ("minor", "currency", "written"),
    [
        (37654, "EUR", "€376.54"),
        (0, "EUR", "€0.00"),
        (-14000, "EUR", "\N{MINUS SIGN}€140.00"),
        (550, "JPY", "¥550"),
        (2900, "SEK", "SEK 29.00"),
    ],
)
def test_money_is_written_from_minor_units(minor, currency, written):
    assert formats.money(minor, currency) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(12, "12 s"), (840, "14 min"), (11520, "3 h 12 min"), (86400, "24 h"), (777600, "9 days")],
)
def test_a_length_has_at_most_two_units(seconds, written):
    assert formats.length(seconds) == written


def test_a_count_in_the_millions_is_written_short():
    assert formats.amount(231_400_000) == "231.4 M"
    assert formats.amount(20_000_000) == "20 M"
    assert formats.amount(11_860) == "11,860"


def test_a_time_is_told_on_the_factory_s_clock():
    with timezone.override("Europe/Berlin"):
        assert formats.moment(datetime(2026, 11, 17, 9, 28, tzinfo=UTC), NOON) == "10:28"
        assert formats.moment(datetime(2026, 11, 16, 23, 30, tzinfo=UTC), NOON) == "00:30"
        assert formats.moment(datetime(2026, 11, 16, 9, 0, tzinfo=UTC), NOON) == "Mon 16 Nov, 10:00"
