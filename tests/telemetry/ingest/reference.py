"""What should be stored of one device, kept in dictionaries."""

from dataclasses import dataclass, field

from telemetry.ingest.planning import HOUR_US


@dataclass
class Reference:
    """What should be stored of one device, kept in dictionaries."""

    current: dict[tuple[int, str], object] = field(default_factory=dict)
    replaced: dict[tuple[int, str], list[object]] = field(default_factory=dict)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    hours: dict[int, list[int]] = field(default_factory=dict)

    def take(self, ts: int, values: dict[str, object]) -> bool:
        n_new = 0
        for key, value in values.items():
            place = (ts, key)
            if place not in self.current:
                self.current[place] = value
            elif same(self.current[place], value) or any(
                same(old, value) for old in self.replaced.get(place, [])
            ):
                continue
            else:
                self.replaced.setdefault(place, []).append(self.current[place])
                self.current[place] = value
            n_new += 1
        self.counts[0] += 1
        self.counts[1 if n_new else 2] += 1
        if n_new:
            hour = self.hours.setdefault(ts * 1000 // HOUR_US, [0, 0])
            hour[0] += 1
            hour[1] += n_new
        return bool(n_new)


def same(a: object, b: object) -> bool:
    return type(a) is type(b) and a == b
