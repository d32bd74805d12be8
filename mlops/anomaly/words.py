"""What deviates, in a sentence that can be checked against the chart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final

from mlops.maintenance.reasons import SignalName, written

# Within this span a weekday is enough to name a day.
A_WEEK: Final = timedelta(days=6)
# A ratio reads well where it says more than "a bit" and less than "absurdly".
RATIOS: Final = (1.2, 100.0)


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviating signal.

    Attributes:
        value: recent value in the signal's unit; None where it has been silent.
        usual: where nine in ten values lie in this operating regime; None where not known.
        centre: its usual level in this regime.
        since: aware; None where it is not known.
        rising: whether it went up or down over the episode; None for neither.
        is_still: it shows the same value for longer than it ever did.
        has_regimes: the machine is run in several ways, so "usual" means "in this way".
    """

    name: SignalName
    value: float | None
    usual: tuple[float, float] | None
    centre: float
    since: datetime | None
    rising: bool | None = None
    is_still: bool = False
    has_regimes: bool = False


def sentence(finding: Finding, *, now: datetime, zone: tzinfo) -> str:
    """Say what a signal does, beside what it usually does, and since when.

    "spindle vibration 2.1x its usual level at this load since Tuesday 14:10 (4.2 mm/s, usually
    1.8 to 2.3), rising."
    """
    since = _since(finding.since, now, zone)
    label = finding.name.label
    if finding.value is None:
        return f"{label} silent{since}."
    unit = f" {finding.name.unit}" if finding.name.unit else ""
    if finding.is_still:
        return f"{label} stands still at {written(finding.value)}{unit}{since}."
    trend = {True: ", rising", False: ", falling", None: ""}[finding.rising]
    place = " at this load" if finding.has_regimes else ""
    if finding.usual is None:
        return f"{label} {written(finding.value)}{unit}{since}{trend}; its usual is not known yet."
    low, high = finding.usual
    width = high - low
    amount = f"{written(finding.value, width)}{unit}"
    between = f"usually {written(low, width)} to {written(high, width)}"
    if low <= finding.value <= high:
        return f"{label} does not fit the other signals{place}{since} ({amount}, {between}){trend}."
    return f"{label} {_beside(finding)}{place}{since} ({amount}, {between}){trend}."


def _beside(finding: Finding) -> str:
    """Say where a value lies beside the usual level: as a ratio where that means something."""
    value, centre = finding.value or 0.0, finding.centre
    low, high = finding.usual or (0.0, 0.0)
    # A ratio needs a true zero: signals that go below it have none.
    if centre > 0 and low >= 0 and value > high and RATIOS[0] <= value / centre <= RATIOS[1]:
        return f"{written(round(value / centre, 1))}x its usual level"
    return "above its usual level" if value > high else "below its usual level"


def _since(since: datetime | None, now: datetime, zone: tzinfo) -> str:
    if since is None:
        return ""
    local = since.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return f" since {local:%H:%M}"
    if now - since < A_WEEK:
        return f" since {local:%A %H:%M}"
    return f" since {local:%d %B %Y, %H:%M}"
