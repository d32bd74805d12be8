from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mlops.anomaly.words import Finding, sentence
from mlops.maintenance.reasons import SignalName

NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)  # a Thursday
BERLIN = ZoneInfo("Europe/Berlin")
VIB = Finding(
    name=SignalName("Spindle vibration", "mm/s"), value=4.2, usual=(1.8, 2.3), centre=2.0,
    since=datetime(2026, 11, 24, 13, 10, tzinfo=UTC), rising=True, has_regimes=True,
)  # fmt: skip


def said(**changes: Any) -> str:
    return sentence(replace(VIB, **changes), now=NOW, zone=BERLIN)


def test_a_ratio_beside_the_usual_and_since_when_in_local_time():
    assert said() == (
        "Spindle vibration 2.1x its usual level at this load since Tuesday 14:10 "
        "(4.2 mm/s, usually 1.8 to 2.3), rising."
    )


def test_a_signal_without_a_true_zero_has_no_ratio():
    told = said(usual=(-1.0, 1.0), centre=0.1, rising=None, has_regimes=False)

    assert told.startswith("Spindle vibration above its usual level since Tuesday 14:10 (")


def test_what_is_below_is_said_to_be_below():
    assert "below its usual level" in said(value=1.0)


def test_a_value_within_its_usual_may_not_fit_the_others():
    assert "does not fit the other signals at this load" in said(value=2.0)


@pytest.mark.parametrize(
    ("ago", "expected"),
    [(timedelta(hours=2), " since 08:00 "), (timedelta(days=30), " since 27 October 2026, 10:00 ")],
)
def test_days_are_named_as_people_do(ago, expected):
    assert expected in said(since=NOW - ago)


def test_silence_and_standing_still_are_said_plainly():
    assert said(value=None) == "Spindle vibration silent since Tuesday 14:10."
    assert said(is_still=True) == "Spindle vibration stands still at 4.2 mm/s since Tuesday 14:10."


def test_what_is_not_known_is_not_claimed():
    assert said(usual=None).endswith("its usual is not known yet.")
