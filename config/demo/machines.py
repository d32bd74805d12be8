"""The machines of the two demonstration factories, as data.

Each signal is one formula (see `SignalSpec`), so that adding a machine needs no code. Rates, loads,
temperatures and vibration are of the size that such machines have; lives are compressed, so that
a few weeks hold several of them.
"""

from dataclasses import dataclass, field
from datetime import time

from config.demo.plan import Habits, Phase, Scene, Wear

# Half an hour in the middle of each shift, as production's usual calendar has it.
BREAKS = ((time(10, 0), 30), (time(18, 0), 30), (time(2, 0), 30))


@dataclass(frozen=True)
class SignalSpec:
    """One measured number:

    value = rest + ambient * (room - 21 °C) + (work + wear * damage) * drive + noise

    never below 0. `drive` is the load while working (0 while not), swinging by `cycle` within each
    part, and following with the time constant `lag_min` where heat has to flow first; it is 1
    while working where the value is held by a controller whatever the load (`is_held`).
    """

    key: str
    label: str
    unit: str
    rest: float
    work: float
    wear: float = 0.0
    noise: float = 0.0
    drift: float = 0.0  # slow wandering
    cycle: float = 0.0
    lag_min: float = 0.0
    ambient: float = 0.0
    decimals: int = 2
    is_held: bool = False


@dataclass(frozen=True)
class TypeSpec:
    """What machines of one type have in common."""

    code: str
    name: str
    component: str
    ideal_rate_per_h: float | None
    signals: tuple[SignalSpec, ...]
    wear: Wear | None = None
    failure_mode: str = "vibration"
    failure_note: str = ""
    habits: Habits = field(default_factory=Habits)
    products: tuple[str, ...] = ("Part",)
    loads: tuple[float, ...] = (1.0,)
    speaks: bool = True  # has a control that names its state and counts parts


@dataclass(frozen=True)
class MachineSpec:
    """One machine, the gateway it hangs on, and what is staged for the first visitor."""

    name: str
    type: TypeSpec
    gateway: str
    pace: float = 0.97  # usual output against the ideal rate
    cost_per_hour_minor: int = 9_000
    scenes: tuple[Scene, ...] = ()
    wear_at_anchor: float | None = None
    product_at_anchor: str = ""
    # Minutes around the first start in which its readings reach nobody until it is over.
    offline_min: tuple[float, float] | None = None
    sticking_signal: str = ""


@dataclass(frozen=True)
class FactorySpec:
    name: str
    stem: str
    time_zone: str
    people: tuple[str, ...]
    machines: tuple[MachineSpec, ...]
    plan: str
    trained_types: tuple[str, ...]


def _power(rest: float, work: float) -> SignalSpec:
    return SignalSpec("power_kw", "Power", "kW", rest, work, 0.04 * work, 0.02 * work, cycle=0.12)


def _vibration(work: float, wear: float) -> SignalSpec:
    return SignalSpec(
        "vib_rms_mm_s", "Vibration", "mm/s", 0.22, work, wear, 0.05, 0.05, cycle=0.08, decimals=3
    )


def _heat(key: str, label: str, work: float, wear: float, lag_min: float = 25) -> SignalSpec:
    return SignalSpec(key, label, "°C", 22.0, work, wear, 0.12, 0.25, 0.0, lag_min, 0.8)


_LOAD = SignalSpec("spindle_load_pct", "Spindle load", "%", 1.5, 54, 5, 1.1, 0.8, 0.22)
_COOLANT = SignalSpec("coolant_temp_c", "Coolant", "°C", 19.5, 3.2, 0, 0.06, 0.2, 0, 50, 0.5)
_AIR = SignalSpec("air_pressure_bar", "Compressed air", "bar", 6.4, -0.25, 0, 0.03, 0.05)

MILL = TypeSpec(
    "mill", "Milling machine", "Spindle bearing", 40,
    (_LOAD, _vibration(1.5, 4.4), _heat("spindle_temp_c", "Spindle temperature", 16, 15),
     _COOLANT, _power(1.3, 7.4)),
    wear=Wear(mean_life_h=130), failure_note="Spindle bearing worn out, outer race pitted.",
    products=("Flange DN50", "Flange DN80", "Bracket B7", "Pump housing"),
    loads=(1.0, 1.14, 0.82, 1.22),
)  # fmt: skip
LATHE = TypeSpec(
    "lathe", "Lathe", "Main bearing", 115,
    (_LOAD, _vibration(1.1, 3.6), _heat("spindle_temp_c", "Spindle temperature", 13, 18),
     _COOLANT, _power(0.9, 5.1)),
    wear=Wear(mean_life_h=125, spread=0.14), failure_note="Main bearing ran hot and seized.",
    failure_mode="overheating",
    products=("Valve stem", "Bushing 22", "Spindle shaft"), loads=(1.0, 0.86, 1.18),
)  # fmt: skip
GRINDER = TypeSpec(
    "grinder", "Grinding machine", "Spindle bearing", 39,
    (_LOAD, _vibration(0.8, 2.9), _heat("bearing_temp_c", "Bearing temperature", 15, 11),
     _COOLANT, _power(1.1, 6.2)),
    wear=Wear(mean_life_h=170), failure_note="Wheel spindle bearing changed.",
    products=("Spindle shaft", "Gauge pin"), loads=(1.0, 0.9),
)  # fmt: skip
SAW = TypeSpec(
    "saw", "Band saw", "Band wheel bearing", 34,
    (SignalSpec("motor_current_a", "Motor current", "A", 0.6, 7.9, 1.2, 0.2, 0.2, 0.3),
     SignalSpec("blade_tension_n_mm2", "Blade tension", "N/mm²", 248, 6, -14, 0.9, 1.2, decimals=1),
     _power(0.4, 3.1)),
    wear=Wear(mean_life_h=230), failure_mode="breakdown", failure_note="Blade broke.",
    products=("Bar 40", "Bar 65"), loads=(0.9, 1.15),
)  # fmt: skip
DEBURRING = TypeSpec(
    "deburring", "Deburring cell", "Brush drive", 80,
    (SignalSpec("brush_current_a", "Brush current", "A", 0.4, 4.2, 0.8, 0.1, 0.1, 0.25),
     _AIR, _power(0.5, 2.2)),
    products=("Flange DN50", "Flange DN80"), loads=(1.0, 1.1),
)  # fmt: skip
WASHER = TypeSpec(
    "washer", "Parts washer", "Pump", 60,
    (SignalSpec("bath_temp_c", "Bath temperature", "°C", 58, 4, 0, 0.15, 0.4, 0, 40, is_held=True),
     SignalSpec("conductivity_ms_cm", "Conductivity", "mS/cm", 11.5, 1.1, 0, 0.05, 0.3),
     _power(1.8, 9.5)),
    habits=Habits(setups_per_day=1, slows_per_day=0.1), products=("Basket",), loads=(1.0,),
)  # fmt: skip
COMPRESSOR = TypeSpec(
    "compressor", "Compressor", "Air end", None,
    (SignalSpec("pressure_bar", "Net pressure", "bar", 6.6, 0.5, -0.2, 0.04, 0.08, decimals=3),
     _heat("oil_temp_c", "Oil temperature", 46, 14, 12), _vibration(1.9, 3.1), _power(6.0, 16.0)),
    wear=Wear(mean_life_h=300), failure_note="Air end overhauled.", speaks=False,
    habits=Habits(waits_per_day=9, wait_min=(4, 16), setups_per_day=0, slows_per_day=0),
)  # fmt: skip

MIXER = TypeSpec(
    "mixer", "Mixer", "Gearbox", 6,
    (SignalSpec("torque_nm", "Torque", "Nm", 3, 410, 30, 6, 8, 0.15, decimals=1),
     _heat("gearbox_temp_c", "Gearbox temperature", 27, 14, 30), _vibration(0.9, 2.6),
     SignalSpec("product_temp_c", "Product temperature", "°C", 8, 5, 0, 0.1, 0.5, 0, 20),
     _power(0.8, 11)),
    wear=Wear(mean_life_h=120), failure_mode="breakdown", failure_note="Gearbox bearing changed.",
    products=("Tomato base", "Pesto", "Béchamel"), loads=(0.9, 1.1, 1.0),
)  # fmt: skip
PASTEURISER = TypeSpec(
    "pasteuriser", "Pasteuriser", "Product pump seal", 2400,
    (SignalSpec("hold_temp_c", "Holding temperature", "°C", 61, 12.4, -0.5, 0.06, 0.1, 0, 3,
                is_held=True),
     SignalSpec("flow_l_h", "Flow", "l/h", 0, 2400, -90, 14, 12, decimals=1),
     SignalSpec("inlet_pressure_bar", "Inlet pressure", "bar", 1.1, 1.9, -0.4, 0.02, 0.04),
     _power(3, 24)),
    wear=Wear(mean_life_h=180), failure_mode="leak", failure_note="Pump seal leaked.",
    products=("Tomato sauce", "Pesto", "Béchamel"), loads=(1.0, 0.96, 1.03),
    habits=Habits(setups_per_day=2, setup_min=(25, 55)),
)  # fmt: skip
FILLER = TypeSpec(
    "filler", "Filler", "Filling valves", 3600,
    # The weight as the valves dose it, by volume: what a jar really holds is found by inspection.
    (SignalSpec("fill_weight_g", "Fill weight", "g", 0, 352, 2.2, 0.8, 0.3, is_held=True),
     SignalSpec("product_temp_c", "Product temperature", "°C", 23, 42, 0, 0.15, 0.9, 0, 12, 0.7,
                is_held=True),
     SignalSpec("nozzle_pressure_bar", "Nozzle pressure", "bar", 0.1, 1.7, -0.12, 0.01, 0.07,
                decimals=3, is_held=True),
     _vibration(1.2, 3.2), _heat("drive_temp_c", "Drive temperature", 19, 16), _AIR,
     _power(1.1, 6.8)),
    wear=Wear(mean_life_h=100), failure_mode="low_output", failure_note="Valve set renewed.",
    products=("Jar 350 g", "Jar 180 g"), loads=(1.0, 0.93),
    habits=Habits(breathes_per_day=26, faults_per_day=1.2),
)  # fmt: skip
PACKER = TypeSpec(
    "packer", "Packer", "Glue unit", 300,
    (SignalSpec("glue_temp_c", "Glue temperature", "°C", 148, 17, -5, 0.4, 0.6, 0, 15,
                is_held=True),
     _AIR, SignalSpec("drive_current_a", "Drive current", "A", 0.8, 6.1, 0.9, 0.15, 0.1, 0.2),
     _power(0.6, 4.4)),
    wear=Wear(mean_life_h=210), failure_mode="low_output", failure_note="Glue nozzle replaced.",
    products=("Case 12", "Case 24"), loads=(1.0, 1.08),
)  # fmt: skip


def _scene(phase: Phase, from_min: float, to_min: float, ratio: float = 1.0) -> tuple[Scene, ...]:
    return (Scene(phase, from_min, to_min, ratio),)


ACME = FactorySpec(
    name="Acme Precision", stem="acme", time_zone="Europe/Berlin", plan="workshop",
    trained_types=("mill", "lathe"),
    people=("Petra Lang", "Mehmet Aydin", "Jana Kovar", "Anna Berger", "Luis Ortega"),
    machines=(
        MachineSpec("Mill 1", MILL, "milling", cost_per_hour_minor=11_500, wear_at_anchor=0.84,
                    scenes=_scene(Phase.WORK, -75, 45)),
        MachineSpec("Mill 2", MILL, "milling", 0.98, 11_500,
                    scenes=_scene(Phase.WORK, -90, 30), wear_at_anchor=0.3,
                    product_at_anchor="Bracket B7"),
        MachineSpec("Mill 3", MILL, "milling", 0.96, 16_000, wear_at_anchor=0.45,
                    scenes=(Scene(Phase.WORK, -95, -14), Scene(Phase.FAULT, -14, 38))),
        MachineSpec("Mill 4", MILL, "milling", 0.97, 11_500, wear_at_anchor=0.6,
                    scenes=(Scene(Phase.WORK, -70, -11), Scene(Phase.SETUP, -11, 21))),
        MachineSpec("Lathe 1", LATHE, "turning", 0.975, 8_200, wear_at_anchor=0.2,
                    scenes=_scene(Phase.WORK, -60, 40)),
        MachineSpec("Lathe 2", LATHE, "turning", 0.97, 8_200, wear_at_anchor=0.5,
                    scenes=_scene(Phase.WORK, -44, 70, 0.71), sticking_signal="coolant_temp_c"),
        MachineSpec("Lathe 3", LATHE, "turning", 0.96, 9_000, wear_at_anchor=0.7,
                    scenes=(Scene(Phase.WORK, -80, -6), Scene(Phase.WAIT, -6, 17))),
        MachineSpec("Grinder 1", GRINDER, "finishing", 0.95, 7_800, wear_at_anchor=0.6,
                    scenes=_scene(Phase.WORK, -50, 60)),
        MachineSpec("Saw 1", SAW, "sawing", 0.97, 4_100, wear_at_anchor=0.4,
                    scenes=_scene(Phase.WORK, -120, 20), offline_min=(-31, 26)),
        MachineSpec("Deburring 1", DEBURRING, "finishing", 0.96, 3_800,
                    scenes=_scene(Phase.WORK, -40, 50)),
        MachineSpec("Washer 1", WASHER, "finishing", 0.98, 2_900,
                    scenes=_scene(Phase.WORK, -45, 80)),
        MachineSpec("Compressor 1", COMPRESSOR, "utilities", 1.0, 2_000, wear_at_anchor=0.55,
                    scenes=_scene(Phase.WORK, -30, 25)),
    ),
)  # fmt: skip
GLOBEX = FactorySpec(
    name="Globex Foods", stem="globex", time_zone="Europe/Berlin", plan="workshop",
    trained_types=("filler",),
    people=("Ingrid Dahl", "Tom Becker", "Sara Nilsson", "Omar Haddad", "Eva Lund"),
    machines=(
        MachineSpec("Mixer 1", MIXER, "kitchen", 0.96, 6_500, wear_at_anchor=0.4,
                    scenes=_scene(Phase.WORK, -55, 50)),
        MachineSpec("Mixer 2", MIXER, "kitchen", 0.95, 6_500, wear_at_anchor=0.65,
                    scenes=(Scene(Phase.WORK, -60, -8), Scene(Phase.WAIT, -8, 11))),
        MachineSpec("Pasteuriser 1", PASTEURISER, "kitchen", 0.98, 14_000, wear_at_anchor=0.3,
                    scenes=_scene(Phase.WORK, -80, 60)),
        MachineSpec("Filler 1", FILLER, "filling", 0.96, 12_000, wear_at_anchor=0.8,
                    scenes=_scene(Phase.WORK, -70, 30)),
        MachineSpec("Filler 2", FILLER, "filling", 0.97, 12_000, wear_at_anchor=0.35,
                    scenes=_scene(Phase.WORK, -50, 60, 0.78), product_at_anchor="Jar 350 g"),
        MachineSpec("Filler 3", FILLER, "filling", 0.97, 12_000, wear_at_anchor=0.5,
                    scenes=_scene(Phase.WORK, -30, 60), product_at_anchor="Jar 350 g"),
        MachineSpec("Packer 1", PACKER, "packing", 0.96, 5_500, wear_at_anchor=0.5,
                    scenes=_scene(Phase.WORK, -65, 45)),
    ),
)  # fmt: skip
FACTORIES = (ACME, GLOBEX)
