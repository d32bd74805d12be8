"""What a tile, a row of the attention list and a figure show: words and numbers, ready to print."""

from dataclasses import dataclass
from datetime import datetime

from frontend.timelines import Timeline


@dataclass(frozen=True)
class Tile:
    """One machine: name, state, what it is about, one figure, the shift as a bar."""

    id: str
    name: str
    state: str
    note: str
    timeline: Timeline
    value: str = ""
    unit: str = ""
    beside: str = ""
    second_label: str = ""
    second: str = ""
    url: str = ""
    since: datetime | None = None
    is_over_limit: bool = False


@dataclass(frozen=True)
class AttentionRow:
    """One thing that needs a person, with the one button that helps."""

    severity: int
    subject: str
    sentence: str
    when: str = ""
    cost: str = ""
    action: str = ""
    url: str = ""


@dataclass(frozen=True)
class Figure:
    """A number with its unit and, below it, what is usual or what it is made of."""

    label: str
    value: str
    unit: str = ""
    below: str = ""
    live: str = ""  # "<device id>:<key>" of the signal that it follows
    at: datetime | None = None  # when what it shows was measured
    is_none: bool = False
