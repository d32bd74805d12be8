"""Brackets of Acme: how they are made, what is wrong with some, and under which lamp they lie.

A bracket is sawn and milled. Which piece is spoilt, and how, is a hash of its lot and number, so
that the same piece is the same again; the bore follows the heat and the wear of its mill.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from config.demo import batches, noise, pictures
from config.demo.batches import Batch, MadeLot, Step, conditions
from config.demo.noise import FloatArray
from config.demo.pictures import Flaw, Light
from config.demo.plan import DAY_S
from config.demo.simulator import SimulatedMachine

ITEM: Final = "BR-B7"
NAME: Final = "Bracket B7"
LOT_PIECES: Final = 80
BUNDLE_CUTS: Final = 40  # two blanks a cut
SAWING: Final = "10 sawing"
MILLING: Final = "20 milling"
LEAD_S: Final = 900.0
DAYS_BACK: Final = 14.0
CAMERA_S: Final = 40.0  # from the mill to the camera
DEFECTIVE_SHARE: Final = 0.08
# How often each is what is wrong, of a hundred spoilt pieces.
KINDS: Final = {pictures.SCRATCH: 36, pictures.PIT: 24, pictures.MISSING: 12, pictures.STAIN: 16,
                pictures.BURR: 12}  # fmt: skip
# The lamp tires over so long before the first start, and is changed so long after it.
TIRES_S: Final = 1.5 * DAY_S
CHANGED_AFTER_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Piece:
    """One bracket on its way under the camera; `seen` in seconds (UTC)."""

    lot: MadeLot
    number: int
    seen: float
    flaws: tuple[Flaw, ...]

    @property
    def name(self) -> str:
        return f"{self.lot.code}-{self.number:03d}"

    def picture(self, *, anchor: float) -> pictures.Picture:
        """Take its picture under the lamp of its moment."""
        return pictures.take(
            seed=zlib.crc32(self.name.encode()), flaws=self.flaws,
            light=lamp(self.seen, anchor=anchor),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gauged:
    """What the gauge says of one piece, in mm."""

    bore_mm: float
    flatness_mm: float


def lots(machines: Sequence[SimulatedMachine]) -> list[MadeLot]:
    """List the lots of brackets since two weeks before the first start, by their start."""
    mills = [machine for machine in machines if machine.spec.type.code == "mill"]
    saws = [machine for machine in machines if machine.spec.type.code == "saw"]
    bundles = sorted(
        (bundle for saw in saws for bundle in batches.cut(saw, size=BUNDLE_CUTS)),
        key=lambda bundle: bundle.ended,
    )
    out = []
    for mill in mills:
        for batch in batches.cut(mill, size=LOT_PIECES, products=(NAME,)):
            bundle = batches.source_of(batch, bundles, lead_s=LEAD_S)
            if bundle is not None and batch.started >= mill.anchor - DAYS_BACK * DAY_S:
                out.append(_lot(batch, bundle, mill.seed))
    return sorted(out, key=lambda lot: (lot.started, lot.code))


def _lot(batch: Batch, bundle: Batch, seed: int) -> MadeLot:
    own = noise.stream(seed, "acme", batch.machine)
    tick = np.array([int(batch.started)])
    tool = int(batch.started // (16 * 3600)) % 90 + 10
    feed = 820 + 10 * round(float(noise.white(own, tick)[0]) * 2)
    heat = int(bundle.started // (3 * DAY_S)) % 900
    sawn = Step(SAWING, 10, bundle, {"bar": bundle.product, "heat": f"H-{4100 + heat}"})
    milled = Step(
        MILLING, 20, batch,
        {"program": "O0712", "tool": f"T12-{tool}", "feed_mm_min": feed, "speed_rpm": 6200},
    )  # fmt: skip
    return MadeLot(ITEM, f"B7-{batch.tag}", (sawn, milled))


def piece(lot: MadeLot, number: int) -> Piece:
    """Return a piece of a lot, counted from 1, with what is wrong with it."""
    batch = lot.last
    done = batch.started + (batch.ended - batch.started) * number / batch.n_pieces
    return Piece(lot, number, done + CAMERA_S, _flaws(f"{lot.code}-{number:03d}"))


def _flaws(name: str) -> tuple[Flaw, ...]:
    rng = np.random.default_rng(zlib.crc32(f"flaw/{name}".encode()))
    if rng.random() >= DEFECTIVE_SHARE:
        return ()
    shares = np.array(list(KINDS.values()), dtype=np.float64)
    code = str(rng.choice(list(KINDS), p=shares / shares.sum()))
    # From what somebody sees who looks for it, to what nobody overlooks.
    return (Flaw(code, round(0.06 + 0.94 * float(rng.beta(1.4, 1.5)), 3)),)


def lamp(at: float, *, anchor: float) -> Light:
    """Return how the part is lit: some daylight, and a lamp that tires up to the first start.

    It tires slowly, then fast, mostly on its right, and is changed an hour after the start.
    """
    day = 0.03 * float(np.sin(2 * np.pi * (at / DAY_S - 0.3)))
    if at >= anchor + CHANGED_AFTER_S:
        return Light(gain=1.0 + day)
    age = min(max((at - (anchor - TIRES_S)) / TIRES_S, 0.0), 1.0) ** 2
    return Light(gain=1.0 + day - 0.16 * age, gradient=0.20 * age)


def gauged(made: Sequence[MadeLot], machines: Mapping[str, SimulatedMachine]) -> list[Gauged]:
    """Measure the last piece of each lot: a hot spindle bores wide, a worn one not flat."""
    means = conditions([lot.last for lot in made], machines)
    out = []
    for lot, mean in zip(made, means, strict=True):
        mill = machines[lot.last.machine]
        worn = float(mill.wear(np.array([lot.ended]))[0]) ** 4
        draw = _draws(lot, mill.seed)
        bore = 24.010 + 0.0008 * (mean["spindle_temp_c"] - 36.0) + 0.005 * worn + 0.0038 * draw[0]
        flatness = 0.021 + 0.026 * worn + 0.008 * abs(draw[1])
        out.append(Gauged(round(float(bore), 4), round(float(flatness), 4)))
    return out


def _draws(lot: MadeLot, seed: int) -> FloatArray:
    own = noise.stream(seed, "acme/gauge", lot.last.machine)
    return noise.white(own, np.array([int(lot.ended), int(lot.ended) + 1]))
