"""Jars of Globex: what a lot really weighs, and why.

The valves dose by volume, so a jar's weight moves with what the product is like: how hot it
reaches the valve, how thick it was cooked, how hard it is pushed, how worn the valves are. All of
that is read from the signals as they are posted, or stands in the parameters of the runs; how
they work together is known here alone. What is left over is the scale and the sample.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from config.demo import batches, noise
from config.demo.batches import Batch, Conditions, MadeLot, Parameters, Step, conditions
from config.demo.noise import FloatArray
from config.demo.plan import DAY_S
from config.demo.simulator import SimulatedMachine

ITEM: Final = "FG-350"
JAR: Final = "Jar 350 g"
LOT_JARS: Final = 12_000
TANK_L: Final = 4_000
COOKING: Final = "10 pasteurising"
FILLING: Final = "20 filling"
STAGED: Final = (
    "Filler 2"  # the lot that it fills at the first start is cooked too thick, and dosed too high
)
NOMINAL_G, LOWER_G, UPPER_G = 350.0, 346.4, 353.6
LEAD_S: Final = 900.0
# Grams by which what a recipe is like moves a jar, and by which heat moves it, a degree.
RECIPES: Final = {"Tomato sauce": (0.0, -0.34), "Pesto": (0.6, -0.50), "Béchamel": (-0.5, -0.66)}
SAMPLE_G: Final = 0.55  # of the mean of twenty jars


def lots(machines: Sequence[SimulatedMachine]) -> list[MadeLot]:
    """List the lots of jars of all fillers, with the tank that each was filled from, by start."""
    fillers = [machine for machine in machines if machine.spec.type.code == "filler"]
    cookers = [machine for machine in machines if machine.spec.type.code == "pasteuriser"]
    tanks = sorted(
        (tank for cooker in cookers for tank in batches.cut(cooker, size=TANK_L)),
        key=lambda tank: tank.ended,
    )
    pairs = [
        (filler, batch, tank)
        for filler in fillers
        for batch in batches.cut(filler, size=LOT_JARS, products=(JAR,))
        if (tank := batches.source_of(batch, tanks, lead_s=LEAD_S)) is not None
    ]
    spoilt = {tank for filler, batch, tank in pairs if _is_staged(filler, batch)}
    out = [
        MadeLot(
            ITEM,
            f"J350-{batch.tag}",
            (
                _cooked(tank, filler.seed, is_spoilt=tank in spoilt),
                _filled(batch, filler.seed, is_spoilt=_is_staged(filler, batch)),
            ),
        )
        for filler, batch, tank in pairs
    ]
    return sorted(out, key=lambda lot: (lot.started, lot.code))


def _is_staged(filler: SimulatedMachine, batch: Batch) -> bool:
    return filler.name == STAGED and batch.started <= filler.anchor < batch.ended


def _cooked(tank: Batch, seed: int, *, is_spoilt: bool) -> Step:
    """The recipe, its thickener by the scale of the day, and now and then a wrong scoop."""
    day = np.array([int(tank.started // (2 * DAY_S))])
    scale = float(noise.white(noise.stream(seed, "globex/thickener/day"), day)[0])
    tick = np.array([int(tank.started)])
    own = noise.stream(seed, "globex/thickener")
    thickener = 2.5 + 0.10 * scale + 0.05 * float(noise.white(own, tick)[0])
    luck = 0.0 if is_spoilt else float(noise.uniform(own + 11, tick)[0])
    if luck < 0.06:
        thickener += 0.6
    elif luck > 0.97:
        thickener -= 0.55
    delivery = int(tank.started // (4 * DAY_S)) % 900
    parameters: Parameters = {
        "recipe": tank.product, "tank": tank.tag, "thickener_pct": round(thickener, 2),
        "tomato_lot": f"TM-{100 + delivery}",
    }  # fmt: skip
    return Step(COOKING, 10, tank, parameters)


def _filled(batch: Batch, seed: int, *, is_spoilt: bool) -> Step:
    """The dosing that the shift has set, and on which of the nozzle sets."""
    shift = np.array([int(batch.started // (DAY_S / 3))])
    own = noise.stream(seed, "globex/dosing", batch.machine)
    dosing = 351 + round(float(noise.white(own, shift)[0]) * 0.9)
    if is_spoilt:
        dosing = 353
    return Step(FILLING, 20, batch, {"dosing_g": dosing, "nozzle_set": f"N{batch.machine[-1]}"})


def weights(
    made: Sequence[MadeLot], machines: Mapping[str, SimulatedMachine]
) -> FloatArray:  # fmt: skip
    """Weigh twenty jars of each lot; returns (n_lots,) the mean in grams."""
    filled = conditions([lot.steps[1].batch for lot in made], machines)
    cooked = conditions([lot.steps[0].batch for lot in made], machines)
    return np.array(
        [
            _weight(lot, cook, fill, machines[lot.last.machine].seed)
            for lot, cook, fill in zip(made, cooked, filled, strict=True)
        ]
    )


def _weight(lot: MadeLot, cooked: Conditions, filled: Conditions, seed: int) -> float:
    first, second = (step.parameters for step in lot.steps)
    base_g, heat_g = RECIPES[str(first["recipe"])]
    thick = float(first["thickener_pct"] or 0) - 2.5 - 0.25 * (cooked["hold_temp_c"] - 72.95)
    hot = filled["product_temp_c"] - 61.8
    moved = (
        -0.3
        + 0.7 * (float(second["dosing_g"] or 0) - 351.0)
        + base_g
        + heat_g * hot
        # What is thick flows the worse the cooler it is.
        + thick * (8.5 - 0.7 * hot)
        + 16.0 * (filled["nozzle_pressure_bar"] - 1.77)
        + 1.0 * (filled["fill_weight_g"] - 352.3)
    )
    own = noise.stream(seed, "globex/scale", lot.last.machine)
    sample = SAMPLE_G * float(noise.white(own, np.array([int(lot.ended)]))[0])
    return round(NOMINAL_G + moved + sample, 2)
