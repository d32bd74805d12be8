"""What a repeated or changed reading means. Pure arithmetic, no database.

A value is identified by (device, key, measured_at). What is already there is a duplicate; a
different value replaces the current one, which is kept as a revision; a value that was once
replaced is known and therefore a duplicate too, so that an old upload repeated late does not
turn the history back. Keys that were missing at a time are added to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

# A key's name, the id it has for the kind of value sent, and the value (or its code).
Item = tuple[str, int, float]


@dataclass(slots=True)
class Cell:
    """All that is known of one device at one time."""

    current: dict[str, tuple[int, float]] = field(default_factory=dict)
    # Values that were replaced, by key name.
    known: set[tuple[str, int, float]] = field(default_factory=set)
    # What this group replaced and has to be written down: (key id, value).
    replaced: list[tuple[int, float]] = field(default_factory=list)
    is_changed: bool = False

    def merge(self, items: Iterable[Item]) -> int:
        """Take a reading in and return how many of its values were new: 0 is a duplicate."""
        n_new = 0
        for key, key_id, value in items:
            now = self.current.get(key)
            if now is not None:
                if now == (key_id, value) or (key, key_id, value) in self.known:
                    continue
                self.known.add((key, *now))
                self.replaced.append(now)
            self.current[key] = (key_id, value)
            n_new += 1
        self.is_changed = self.is_changed or n_new > 0
        return n_new

    def row(self) -> tuple[tuple[int, ...], list[float]]:
        """The keyset (sorted key ids) and the values in its order."""
        ordered = sorted(self.current.values())
        return tuple(key_id for key_id, _ in ordered), [value for _, value in ordered]
