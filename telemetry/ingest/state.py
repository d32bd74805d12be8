"""What one process remembers of factories and devices, so that a request needs no question.

Everything here is a copy of committed rows that never change their meaning: ids of keys,
keysets and words are never reused. What can change (limits, revocation) is renewed by
`credentials`.
"""

from dataclasses import dataclass, field

from telemetry.ingest.clocks import Clock
from telemetry.ingest.limits import BURST_S, FactoryLimits
from telemetry.ingest.rates import Rate

# The words of the dictionary and the shapes of readings kept in memory; beyond, start afresh.
MAX_PLANS_PER_DEVICE = 1_000
MAX_KEYSETS = 50_000
MAX_WORDS = 200_000

Signature = tuple[tuple[str, ...], tuple[type, ...]]
KIND_OF = {float: "n", bool: "b", str: "s"}


@dataclass(frozen=True, slots=True)
class Plan:
    """How readings of one shape become a row: keys and types as sent to ids in their order."""

    keyset_id: int
    key_ids: tuple[int, ...]
    # Positions of the sent values in the order of key_ids; None when they stand in it already.
    order: tuple[int, ...] | None
    is_numeric: bool


@dataclass(slots=True, eq=False)
class Device:
    """A device and the shapes of readings it is known to send."""

    id: int
    factory: "Factory"
    plans: dict[Signature, Plan] = field(default_factory=dict)
    # The keys of its last batch, where all readings had the same and nothing but numbers.
    usual: tuple[str, ...] | None = None
    # Ids of the keys in telemetry_signal of this device; None until first needed.
    signal_ids: set[int] | None = None
    n_new_words: int = 0
    # Until this monotonic time its readings are expected to be late or repeated (see writer).
    careful_until: float = 0.0
    # Its requests in the slow lane (see lanes): while there are any, the next goes there too.
    n_slow: int = 0
    # What a request is counted against: the device's own limit, where it has one, then the
    # factory's.
    rates: tuple[Rate, ...] = ()
    clock: Clock = field(default_factory=Clock)


@dataclass(slots=True, eq=False)
class Factory:
    """A factory, its limits and its dictionaries."""

    id: int
    schema: str
    limits: FactoryLimits = field(default_factory=FactoryLimits)
    devices: dict[int, Device] = field(default_factory=dict)
    key_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    keyset_ids: dict[tuple[int, ...], int] = field(default_factory=dict)
    word_ids: dict[str, int] = field(default_factory=dict)
    rate: Rate | None = None
    # The last Host header that was found to be right for this factory.
    seen_host: bytes = b""
    # Readings in the writer's queue: one factory may fill only its share of it.
    n_pending: int = 0
    # Until this monotonic time the factory's tables are left alone after a failure.
    paused_until: float = 0.0

    @property
    def host_label(self) -> str:
        return self.schema.replace("_", "-")

    def device(self, device_id: int) -> Device:
        found = self.devices.get(device_id)
        if found is None:
            found = self.devices[device_id] = Device(device_id, self)
            self._set_rates(found)
        return found

    def set_limits(self, limits: FactoryLimits) -> None:
        if limits == self.limits and (self.rate is None) == (limits.readings_per_s is None):
            return
        self.limits = limits
        self.rate = _rate("factory", f"takt:{self.schema}:rate", limits.readings_per_s)
        for device in self.devices.values():
            self._set_rates(device)

    def _set_rates(self, device: Device) -> None:
        own = _rate(
            "device", f"takt:{self.schema}:rate:{device.id}", self.limits.device_readings_per_s
        )
        device.rates = tuple(rate for rate in (own, self.rate) if rate is not None)


def _rate(whose: str, key: str, readings_per_s: int | None) -> Rate | None:
    if readings_per_s is None:
        return None
    rate = float(max(1, readings_per_s))
    return Rate(whose=whose, key=key, rate=rate, burst=max(10_000.0, rate * BURST_S))
